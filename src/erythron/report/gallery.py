"""Small pictures of the cells that a person should look at first: of each class, the most doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.table import LEFT_OUT, UNCLASSIFIED
from erythron.report.marks import describe_cell
from erythron.report.model import GalleryCell
from erythron.report.overlay import encode_picture

_CROP_PX = 144
_PAPER = 236


def cut_gallery(rgb: NDArray[np.uint8], cells: pl.DataFrame, per_class: int = 12) -> list[GalleryCell]:
    """Cut the most doubtful cells of each class out of one image.

    All crops of an image have one scale, so that sizes can be compared; beyond the image's border a crop is
    plain grey.

    Args:
        rgb: (H, W, 3) uint8.
        cells: the cells table of the image.
        per_class: the most cells of a class; unclassified cells are a class of their own.

    Returns:
        The cells by rising confidence; none of those in areas that are left out.
    """
    if cells.is_empty():
        return []
    boxes = np.maximum(cells["width_px"].to_numpy(), cells["height_px"].to_numpy())
    half = max(8, round(0.65 * float(np.percentile(boxes, 95))))
    taken: Counter[str] = Counter()
    gallery = []
    for row in cells.sort("confidence", "cell_id").iter_rows(named=True):
        group = row["counted_as"]
        if group == LEFT_OUT or taken[group] >= per_class:
            continue
        taken[group] += 1
        crop = encode_picture(_crop(rgb, round(row["x_px"]), round(row["y_px"]), half), _CROP_PX)
        gallery.append(
            GalleryCell(
                row["image"],
                row["cell_id"],
                row["label"],
                float(row["confidence"]),
                group == UNCLASSIFIED,
                crop,
                describe_cell(row),
            )
        )
    return gallery


def keep_most_doubtful(cells: Iterable[GalleryCell], per_class: int = 12) -> tuple[GalleryCell, ...]:
    """Return the most doubtful cells of each class among the galleries of several images."""
    taken: Counter[str] = Counter()
    kept = []
    for cell in sorted(cells, key=lambda c: (c.confidence, c.image, c.cell_id)):
        if taken[cell.group] < per_class:
            taken[cell.group] += 1
            kept.append(cell)
    return tuple(kept)


def _crop(rgb: NDArray[np.uint8], x: int, y: int, half: int) -> Image.Image:
    height, width = rgb.shape[:2]
    sheet = np.full((2 * half, 2 * half, 3), _PAPER, dtype=np.uint8)
    top, left = max(0, y - half), max(0, x - half)
    part = rgb[top : max(top, min(height, y + half)), left : max(left, min(width, x + half))]
    row, column = top - (y - half), left - (x - half)
    sheet[row : row + part.shape[0], column : column + part.shape[1]] = part
    return Image.fromarray(sheet)
