"""What exports are made of and what imports give: cells with their outlines, one image at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from erythron.errors import DataError
from erythron.interchange.outlines import Patch, unite_patches
from erythron.report.palette import UNCLASSIFIED_COLOUR, Colour, colour_of

UNCLASSIFIED = "unclassified"
NUCLEUS = "nucleus"
"""Name of the class that outlines of nuclei have where a format knows no nucleus of a cell."""

NUCLEUS_COLOUR = Colour(88, 60, 160)


@dataclass(frozen=True)
class CountedImage:
    """One counted image, for an export.

    Attributes:
        name: the image's path as the user gave it.
        width_px: width of the image.
        height_px: height of the image.
        table: its cells table.
        outlines: whole cell and nucleus of every row, in the same order.
    """

    name: str
    width_px: int
    height_px: int
    table: pl.DataFrame
    outlines: tuple[tuple[Patch, Patch], ...]


@dataclass(frozen=True)
class LabelledCell:
    """A cell as another program hands it back.

    Attributes:
        label: its class as the file names it.
        cell: the whole cell.
        nucleus: its nucleus, None where the file outlines none.
        cell_id: its number in the cells table that was exported, None for a cell that was added.
    """

    label: str
    cell: Patch
    nucleus: Patch | None = None
    cell_id: int | None = None


@dataclass(frozen=True)
class LabelledImage:
    """The cells of one image as another program hands them back.

    Attributes:
        name: the image as the file names it: a path, a URL or a bare name.
        cells: its labelled cells, in the order of the file.
        left_out: one reason for every object that gave no cell.
    """

    name: str
    cells: tuple[LabelledCell, ...]
    left_out: tuple[str, ...] = ()


def list_classes(table: pl.DataFrame) -> tuple[str, ...]:
    """Return the classes of the model that made a cells table, in the order of its outputs."""
    return tuple(name.removeprefix("prob_") for name in table.columns if name.startswith("prob_"))


def name_group(label: str, flags: str | None) -> str:
    """Return the line of the differential that counts a cell: its label, or ``unclassified``."""
    return UNCLASSIFIED if UNCLASSIFIED in (flags or "").split(";") else label


def colour_of_group(group: str) -> Colour:
    """Return the colour of a class, of unclassified cells, or of nuclei."""
    own = {UNCLASSIFIED: UNCLASSIFIED_COLOUR, NUCLEUS: NUCLEUS_COLOUR}
    return own[group] if group in own else colour_of(group)


def join_nuclei(
    cells: Sequence[LabelledCell], nuclei: Sequence[Patch]
) -> tuple[tuple[LabelledCell, ...], tuple[str, ...]]:
    """Give every nucleus to the cell that holds most of it; a cell may have several lobes.

    Programs drop the fields that are ours when a person corrects a cell, so only place can tell.

    Returns:
        The cells with their nuclei, and a reason for every nucleus that lies in no cell.
    """
    lobes: defaultdict[int, list[Patch]] = defaultdict(list)
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


def make_cell(label: str, cell: Patch, lobes: Sequence[Patch], cell_id: int | None) -> LabelledCell:
    """Return a cell; its nucleus belongs to it wherever it was drawn, so the whole cell takes it in."""
    if not lobes:
        return LabelledCell(label, cell, None, cell_id)
    nucleus = unite_patches(lobes)
    return LabelledCell(label, unite_patches([cell, nucleus]), nucleus, cell_id)


def check_same_classes(classes: tuple[str, ...], image: CountedImage) -> None:
    """Check that an image was counted with these classes.

    Raises:
        DataError: it was not.
    """
    if list_classes(image.table) != classes:
        raise DataError(
            f"{image.name}: counted with other classes than the images before it; "
            "count all images again with one model"
        )
