"""What the page shows of a slide: it made small with the areas that were counted, and some of its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from erythron.interchange.geojson import CellRings
from erythron.report.gallery import cut_sample
from erythron.report.marks import make_marks
from erythron.report.model import FieldPage
from erythron.report.overlay import make_overlay_picture

ReadPixels = Callable[[int, int, int, int], NDArray[np.uint8]]
"""Gives the pixels between a left, top, right and bottom edge; white beyond the image."""

_LINE = (214, 40, 40)
_CASING = (255, 255, 255)
_HALF_UM = 13.0
"""Half the side of a crop: room for the largest cells of the erythroid row, at one scale for all."""


def draw_areas(
    rgb: NDArray[np.uint8], downsample: float, areas: Sequence[tuple[int, int, int, int]]
) -> Image.Image:
    """Return a slide made small with the areas that were counted framed.

    Args:
        rgb: (h, w, 3) uint8.
        downsample: pixels of the slide to one of it.
        areas: left, top, right and bottom edge of each in pixels of the slide.
    """
    image = Image.fromarray(rgb)
    pen = ImageDraw.Draw(image)
    for edges in areas:
        left, top, right, bottom = (round(edge / downsample) for edge in edges)
        box = (left, top, max(left + 1, right - 1), max(top + 1, bottom - 1))
        if min(box[2] - left, box[3] - top) > 6:
            pen.rectangle((left - 1, top - 1, box[2] + 1, box[3] + 1), outline=_CASING)
        pen.rectangle(box, outline=_LINE, width=2)
    return image


def make_slide_page(
    overlay: Image.Image,
    cells: pl.DataFrame,
    rings: Sequence[CellRings],
    mpp: float,
    read: ReadPixels,
    note: str = "",
) -> FieldPage:
    """Return picture and crops of cells of a slide; its cells are not outlined on so small a picture.

    Args:
        overlay: the slide made small, with the areas that were counted.
        cells: those that are shown, their rows of the table of cells.
        rings: their outlines, in the same order.
        mpp: microns per pixel.
        read: gives pixels of the slide.
        note: what was counted, in words.
    """
    gallery = cut_sample(
        list(cells.iter_rows(named=True)), make_marks(rings, cells), round(_HALF_UM / mpp), read
    )
    return FieldPage(make_overlay_picture(overlay, 1), (), gallery, note)
