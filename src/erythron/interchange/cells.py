"""What exports are made of and what imports give: cells with their outlines, one image at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from erythron.cells.outline import BoxedMask, CellOutline, outline_cell, unite_masks
from erythron.cells.palette import UNCLASSIFIED_COLOUR, Colour, colour_of
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, list_probability_classes
from erythron.errors import DataError

NUCLEUS = "nucleus"
"""Name of the class that outlines of nuclei have where a format knows no nucleus of a cell."""

MALFORMED = (DataError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What reading an object raises that is not laid out as its format has it."""

NUCLEUS_COLOUR = Colour(88, 60, 160)


@dataclass(frozen=True)
class CountedImage:
    """One counted image, for an export.

    Attributes:
        name: the image's path as the user gave it.
        width_px: width of the image.
        height_px: height of the image.
        table: its cells table.
        outlines: of every row, in the same order.
    """

    name: str
    width_px: int
    height_px: int
    table: pl.DataFrame
    outlines: tuple[CellOutline, ...]


@dataclass(frozen=True)
class LabelledCell:
    """A cell as another program hands it back.

    Attributes:
        label: its class as the file names it.
        cell: the whole cell.
        nucleus: its nucleus, None where the file outlines none.
        cell_id: its name in the cells table that was exported, None for a cell that was added.
    """

    label: str
    cell: BoxedMask
    nucleus: BoxedMask | None = None
    cell_id: str | None = None


@dataclass(frozen=True)
class LabelledImage:
    """The cells of one image as another program hands them back.

    Attributes:
        name: the image as the file names it: a path, a URL or a bare name.
        cells: its labelled cells, in the order of the file.
        left_out: one reason for every object that gave no cell.
        size_px: width and height of the image that was labelled, None where the file does not state them.
        problem: why the cells are of no image at all; empty where they are of one.
    """

    name: str
    cells: tuple[LabelledCell, ...]
    left_out: tuple[str, ...] = ()
    size_px: tuple[int, int] | None = None
    problem: str = ""


def colour_of_group(group: str) -> Colour:
    """Return the colour of a class, of unclassified cells, or of nuclei."""
    own = {UNCLASSIFIED: UNCLASSIFIED_COLOUR, NOT_A_CELL: UNCLASSIFIED_COLOUR, NUCLEUS: NUCLEUS_COLOUR}
    return own[group] if group in own else colour_of(group)


def join_nuclei(
    cells: Sequence[LabelledCell], nuclei: Sequence[BoxedMask]
) -> tuple[tuple[LabelledCell, ...], tuple[str, ...]]:
    """Give every nucleus to the cell that holds most of it; a cell may have several lobes.

    Programs drop the fields that are ours when a person corrects a cell, so only place can tell.

    Returns:
        The cells with their nuclei, and a reason for every nucleus that lies in no cell.
    """
    lobes: defaultdict[int, list[BoxedMask]] = defaultdict(list)
    left_out = []
    for nucleus in nuclei:
        shared = [cell.cell.overlap_px(nucleus) for cell in cells]
        if max(shared, default=0) == 0:
            x, y = nucleus.centre
            left_out.append(f"the nucleus at ({x:.0f}, {y:.0f}) lies in no cell; outline its cell too")
        else:
            lobes[shared.index(max(shared))].append(nucleus)
    joined = []
    for i, cell in enumerate(cells):
        if i not in lobes:
            joined.append(cell)
            continue
        joined.append(make_cell(cell.label, cell.cell, lobes[i], cell.cell_id))
    return tuple(joined), tuple(left_out)


def make_cell(label: str, cell: BoxedMask, lobes: Sequence[BoxedMask], cell_id: str | None) -> LabelledCell:
    """Return a cell; its nucleus belongs to it wherever it was drawn, so the whole cell takes it in."""
    if not lobes:
        return LabelledCell(label, cell, None, cell_id)
    nucleus = unite_masks(lobes)
    return LabelledCell(label, unite_masks([cell, nucleus]), nucleus, cell_id)


def outline_labelled(cell: LabelledCell, score: float = np.nan) -> CellOutline | None:
    """Return the outline of a labelled cell, None where its nucleus is not outlined."""
    if cell.nucleus is None:
        return None
    whole = unite_masks([cell.cell, cell.nucleus])
    nucleus = np.zeros_like(whole.mask)
    top, left = cell.nucleus.top - whole.top, cell.nucleus.left - whole.left
    height, width = cell.nucleus.mask.shape
    nucleus[top : top + height, left : left + width] = cell.nucleus.mask
    return outline_cell(nucleus, whole.mask, whole.left, whole.top, score)


def read_cell_id(text: object) -> str | None:
    """Return the name of a cell as another program hands it back, None where it is none of ours."""
    return text if isinstance(text, str) and re.fullmatch(r"x\d{1,7}y\d{1,7}", text) else None


def read_size(width: object, height: object) -> tuple[int, int] | None:
    """Return the width and height that a file states for an image; None where it states no size."""
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 else None


def check_same_classes(classes: tuple[str, ...], image: CountedImage) -> None:
    """Check that an image was counted with these classes.

    Raises:
        DataError: it was not.
    """
    if list_probability_classes(image.table.columns) != classes:
        raise DataError(
            f"{image.name}: counted with other classes than the images before it; "
            "count all images again with one model"
        )


def check_same_image(
    name: str,
    cells: Sequence[LabelledCell],
    stated_px: Iterable[tuple[int, int]],
    size_px: tuple[int, int],
    instead: str,
) -> None:
    """Refuse cells that were drawn on an image of another size: they would lie elsewhere.

    Args:
        name: of the image.
        cells: as the files have them.
        stated_px: widths and heights that the files state for it, none where they do not.
        size_px: its width and height.
        instead: what to do, for the message.

    Raises:
        DataError: a file states another size, or most outlines reach beyond the image.
    """
    width, height = size_px
    others = sorted(set(stated_px) - {size_px})
    if others:
        raise DataError(
            f"{name}: has {width} x {height} pixels, and its labels were drawn on an image of "
            f"{others[0][0]} x {others[0][1]}; {instead}"
        )
    beyond = [
        cell
        for cell in cells
        if min(cell.cell.left, cell.cell.top) < -1
        or cell.cell.left + cell.cell.mask.shape[1] > width + 1
        or cell.cell.top + cell.cell.mask.shape[0] > height + 1
    ]
    if 2 * len(beyond) > len(cells):
        raise DataError(
            f"{name}: {len(beyond)} of {len(cells)} outlines reach beyond its {width} x {height} pixels; "
            f"{instead}"
        )
