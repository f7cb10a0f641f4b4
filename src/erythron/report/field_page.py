"""What the page shows of one field, made from its pixels once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.interchange.geojson import CellRings
from erythron.report.gallery import cut_gallery
from erythron.report.marks import make_marks
from erythron.report.model import FieldPage
from erythron.report.overlay import make_overlay_picture


def make_field_page(
    rgb: NDArray[np.uint8], cells: pl.DataFrame, rings: Sequence[CellRings], fields_shown: int
) -> FieldPage:
    """Return picture, outlines and crops of cells of a field.

    Args:
        rgb: (H, W, 3) uint8.
        cells: the table of its cells.
        rings: their outlines, in the same order.
        fields_shown: fields that the page shows in full; the more, the smaller each picture, and the
            fewer cells of each.
    """
    # Pillow packs the picture outside Python while outlines and crops are made in it.
    with ThreadPoolExecutor(max_workers=1) as beside:
        picture = beside.submit(make_overlay_picture, Image.fromarray(rgb), fields_shown)
        marks = make_marks(rings, cells)
        gallery = cut_gallery(rgb, cells, marks, fields_shown)
        return FieldPage(picture.result(), marks, gallery)
