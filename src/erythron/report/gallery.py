"""Pictures of the cells: of each class, the most doubtful first, those that a person called last.

A page holds all cells of a class as long as there is room, and at least the most doubtful of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.table import UNCLASSIFIED, is_counted
from erythron.report.marks import trace_around
from erythron.report.model import CellMark, GalleryCell
from erythron.report.overlay import encode_picture

FIRST_CELLS = 12
"""Cells of each class that a page always has room for, and shows at once."""

MAX_BYTES = 1_000_000
"""Bytes that the crops of one page may take beyond the first cells of each class, so that it stays small."""

SHOWN_PX = 160
"""Side of a crop on the screen, CSS pixels: a page of 1400 shows six in a row, and chromatin is seen."""

_STORED_PX = 2 * SHOWN_PX
"""The most pixels that a crop is stored with, for screens with two to a CSS pixel; none is enlarged."""
_QUALITY = 88
_PAPER = 236
_GAP = 3.0
"""CSS pixels between a cell and the line around it."""


def cut_gallery(
    rgb: NDArray[np.uint8], cells: pl.DataFrame, marks: Sequence[CellMark], fields_shown: int = 1
) -> tuple[GalleryCell, ...]:
    """Cut the cells out of one image, of each class as many as there is room for, the most doubtful first.

    All crops of an image have one scale, so that sizes can be compared; beyond the image's border a crop is
    plain grey. Cells in areas that are left out are not among them; unclassified cells are a class.

    Args:
        rgb: (H, W, 3) uint8.
        cells: the cells table of the image.
        marks: the cells' outlines, in the same order.
        fields_shown: fields on the page, which share its room.
    """
    if cells.is_empty():
        return ()
    boxes = np.maximum(cells["width_px"].to_numpy(), cells["height_px"].to_numpy())
    half = max(8, round(0.65 * float(np.percentile(boxes, 95))))
    counted = cells.with_row_index("row").filter(is_counted())
    called = pl.col("confirmed_as").fill_null("") if "confirmed_as" in cells.columns else pl.lit("")
    counted = counted.with_columns(by_reader=called != "")
    ranked = counted.sort("by_reader", "confidence", "cell_id").with_columns(
        rank=pl.int_range(pl.len()).over("counted_as")
    )
    room = MAX_BYTES // max(fields_shown, 1)
    gallery: list[GalleryCell] = []
    for row in ranked.sort("rank", "confidence", "cell_id").iter_rows(named=True):
        if row["rank"] >= FIRST_CELLS and room <= 0:
            break
        cell = _cut_cell(rgb, row, marks[row["row"]], half)
        room -= len(cell.crop.data) if row["rank"] >= FIRST_CELLS else 0
        gallery.append(cell)
    return tuple(sorted(gallery, key=_doubt))


def cut_sample(
    rows: Sequence[Mapping[str, Any]],
    marks: Sequence[CellMark],
    half: int,
    read: Callable[[int, int, int, int], NDArray[np.uint8]],
) -> tuple[GalleryCell, ...]:
    """Cut cells out of an image that is too large to be held.

    Args:
        rows: of its cells table.
        marks: the cells' outlines, in the same order.
        half: half the side of a crop in pixels of the image.
        read: gives the pixels between a left, top, right and bottom edge; white beyond the image.
    """
    gallery = []
    for row, mark in zip(rows, marks, strict=True):
        left, top = (round(row[name]) - half for name in ("x_px", "y_px"))
        rgb = read(left, top, left + 2 * half, top + 2 * half)
        rings = tuple(tuple((x - left, y - top) for x, y in ring) for ring in mark.rings)
        near = {**row, "x_px": row["x_px"] - left, "y_px": row["y_px"] - top}
        gallery.append(_cut_cell(rgb, near, replace(mark, rings=rings), half))
    return tuple(sorted(gallery, key=_doubt))


def choose_cells(cells: Iterable[GalleryCell]) -> tuple[GalleryCell, ...]:
    """Return those of the cells of several images that one page has room for, the most doubtful first.

    The first :data:`FIRST_CELLS` of each class are always among them; what room is left is given to all
    classes alike.
    """
    taken: Counter[str] = Counter()
    ranked = []
    for cell in sorted(cells, key=_doubt):
        ranked.append((taken[cell.group], cell))
        taken[cell.group] += 1
    ranked.sort(key=lambda pair: pair[0])
    room, kept = MAX_BYTES, []
    for rank, cell in ranked:
        if rank >= FIRST_CELLS:
            room -= len(cell.crop.data)
            if room < 0:
                break
        kept.append(cell)
    return tuple(sorted(kept, key=_doubt))


def _doubt(cell: GalleryCell) -> tuple[bool, float, str, str]:
    return bool(cell.model_label), cell.confidence, cell.image, cell.cell_id


def _cut_cell(rgb: NDArray[np.uint8], row: Mapping[str, Any], mark: CellMark, half: int) -> GalleryCell:
    x, y = (round(row[name]) for name in ("x_px", "y_px"))
    around = trace_around(mark, max(1.5, _GAP * 2 * half / SHOWN_PX))
    return GalleryCell(
        image=row["image"],
        cell_id=row["cell_id"],
        label=row["label"] if row["counted_as"] == UNCLASSIFIED else row["counted_as"],
        confidence=float(row["confidence"]),
        unclassified=row["counted_as"] == UNCLASSIFIED,
        crop=encode_picture(crop_around(rgb, x, y, half), _STORED_PX, _QUALITY),
        side_px=2 * half,
        around=tuple((cx - x + half, cy - y + half) for cx, cy in around),
        words=mark.words,
        model_label=row["label"] if row.get("confirmed_as") else "",
    )


def crop_around(rgb: NDArray[np.uint8], x: int, y: int, half: int) -> Image.Image:
    """Return the square of ``2 * half`` pixels around a pixel; beyond the image's border it is plain grey.

    Args:
        rgb: (H, W, 3) uint8.
        x: column of the pixel.
        y: row of the pixel.
        half: half the side, in pixels.
    """
    height, width = rgb.shape[:2]
    top, left = max(0, y - half), max(0, x - half)
    part = rgb[top : max(top, min(height, y + half)), left : max(left, min(width, x + half))]
    if part.shape[:2] == (2 * half, 2 * half):
        return Image.fromarray(part)
    sheet = np.full((2 * half, 2 * half, 3), _PAPER, dtype=np.uint8)
    row, column = top - (y - half), left - (x - half)
    sheet[row : row + part.shape[0], column : column + part.shape[1]] = part
    return Image.fromarray(sheet)
