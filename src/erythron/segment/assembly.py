"""Assembly: the outlined cells of a field put together at its scale, so that no pixel belongs to two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.outline import CellOutline, outline_cell
from erythron.segment.masks import fill_holes, label_parts
from erythron.segment.nucleus_edge import follow_stain
from erythron.segment.windows import OutlinedCells

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SMALLEST_LOBE = 0.05
"""Share of a nucleus under which a part of it is no lobe and is left out.

``benchmarks/constants.py`` measures it.
"""


@dataclass
class _Owner:
    """A cell and the pixels that are its own so far, on the area of its window.

    Attributes:
        rows: of the area in the image.
        columns: of the area in the image.
        cell: (h, w) bool, pixels of the whole cell.
        nucleus: (h, w) bool, pixels of its nucleus.
        score_map: (h, w) int16, how sure the cell is of each of its pixels: the bits of a float16, which have
            the order of what they stand for where that is not negative, and are compared faster.
        score: of the whole cell.
        is_wanted: whether it is returned, or only takes its pixels.
    """

    rows: slice
    columns: slice
    cell: Bools
    nucleus: Bools
    score_map: NDArray[np.int16]
    score: float
    is_wanted: bool = True

    def share_with(self, rows: slice, columns: slice) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return where this area and another overlap: on this area, and on the other."""
        top, bottom = max(self.rows.start, rows.start), min(self.rows.stop, rows.stop)
        left, right = max(self.columns.start, columns.start), min(self.columns.stop, columns.stop)
        mine = np.s_[
            top - self.rows.start : bottom - self.rows.start,
            left - self.columns.start : right - self.columns.start,
        ]
        theirs = np.s_[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
        return mine, theirs


class Assembly:
    """Cells put together at the scale of the field; a pixel that two cells reach belongs to the surer one.

    Only the windows of the cells are held, so memory grows with the cells and not with the field.

    Args:
        light: (H, W, 3) uint8, the field's balanced light.
        mpp: microns per pixel.
    """

    def __init__(self, light: NDArray[np.uint8], mpp: float) -> None:
        self._light, self._mpp = light, mpp
        self._owners: list[_Owner] = []
        self._boxes = np.zeros((4, 64), np.int64)

    def add(
        self, found: OutlinedCells, scale: float, origin: tuple[int, int], *, is_wanted: bool = True
    ) -> None:
        """Add cells whose windows are enlarged by ``scale`` and moved to ``origin``, (row, column).

        Cells that are not wanted take their pixels and are not among those that :meth:`finish` returns.
        """
        for corner, window, score in zip(found.corner, found.maps, found.score, strict=True):
            maps, (top, left) = _crop(window)
            place = ((corner[0] + top) * scale + origin[0], (corner[1] + left) * scale + origin[1])
            area = find_area(place, (maps.shape[1] * scale, maps.shape[2] * scale), self._light.shape)
            if area is None:
                continue
            nucleus, cell = (enlarge(values, place, scale, area) for values in maps)
            inner, outer = tidy(nucleus > 0.5, cell > 0.5)
            if not inner.any():
                continue
            inner = follow_stain(inner, outer, self._light[area], self._mpp)
            score_map = np.where(inner, 1 + nucleus, cell).astype(np.float16).view(np.int16)
            self._own(_Owner(*area, outer, inner, score_map, float(score), is_wanted))

    def finish(self) -> tuple[CellOutline, ...]:
        """Return the cells in the order in which they were added, without those whose nucleus is all lost."""
        found = (
            outline_cell(c.nucleus, c.cell, c.columns.start, c.rows.start, c.score)
            for c in self._owners
            if c.is_wanted
        )
        return tuple(outline for outline in found if outline is not None)

    def _own(self, new: _Owner) -> None:
        """Give a cell the pixels that it is surest of, or none where none of its nucleus is among them."""
        held = np.zeros(new.cell.shape, np.int16)
        near = self._find_near(new.rows, new.columns)
        for other in near:
            theirs, mine = other.share_with(new.rows, new.columns)
            np.maximum(held[mine], np.where(other.cell[theirs], other.score_map[theirs], 0), out=held[mine])
        won = new.cell & (new.score_map > held)
        if not (won & new.nucleus).any():
            return
        new.cell, new.nucleus = won, won & new.nucleus
        for other in near:
            theirs, mine = other.share_with(new.rows, new.columns)
            other.cell[theirs] &= ~won[mine]
            other.nucleus[theirs] &= ~won[mine]
        number = len(self._owners)
        if number == self._boxes.shape[1]:
            self._boxes = np.concatenate([self._boxes, np.zeros_like(self._boxes)], axis=1)
        rows, columns = new.rows, new.columns
        self._boxes[:, number] = (rows.start, columns.start, rows.stop, columns.stop)
        self._owners.append(new)

    def _find_near(self, rows: slice, columns: slice) -> list[_Owner]:
        top, left, bottom, right = self._boxes[:, : len(self._owners)]
        near = (top < rows.stop) & (left < columns.stop) & (bottom > rows.start) & (right > columns.start)
        return [self._owners[i] for i in np.flatnonzero(near)]


def assemble_cells(
    found: OutlinedCells, image: tuple[NDArray[np.uint8], float], scale: float, wanted: Bools
) -> tuple[CellOutline, ...]:
    """Return some of the cells of an image, each with the pixels that its neighbours leave it.

    Args:
        found: all cells, N.
        image: its balanced light, (H, W, 3) uint8, and its microns per pixel.
        scale: pixels of the image to one of the windows.
        wanted: (N,) which of the cells are returned; the others only take their pixels.
    """
    assembly = Assembly(*image)
    for number in _find_beside(found, wanted):
        assembly.add(found.take(np.array([number])), scale, (0, 0), is_wanted=bool(wanted[number]))
    return assembly.finish()


def _find_beside(found: OutlinedCells, wanted: Bools) -> NDArray[np.int64]:
    """Return the rows of the wanted cells and of those whose boxes reach into one of theirs."""
    boxes = []
    for corner, window in zip(found.corner, found.maps, strict=True):
        maps, (top, left) = _crop(window)
        boxes.append((corner[0] + top, corner[1] + left, maps.shape[1], maps.shape[2]))
    box = np.array(boxes, np.int64).reshape(-1, 4)
    first, last = box[:, :2], box[:, :2] + box[:, 2:]
    beside = wanted.copy()
    for row in np.flatnonzero(wanted):
        beside |= ((first < last[row]) & (last > first[row])).all(1)
    return np.flatnonzero(beside)


def _crop(maps: Floats) -> tuple[Floats, tuple[int, int]]:
    """Return the part of a window's maps that shows the cell, and its first row and column.

    Two pixels more on every side keep what interpolation makes of the border.
    """
    inside: Bools = np.max(maps, axis=0) > 0.5
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return maps, (0, 0)
    top, left = max(0, int(rows[0]) - 2), max(0, int(columns[0]) - 2)
    return maps[:, top : rows[-1] + 3, left : columns[-1] + 3], (top, left)


def find_area(
    place: tuple[float, float], size: tuple[float, float], shape: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Return the whole pixels of an image that an area of a height and width covers, None where none."""
    top, left = place
    rows = slice(max(0, int(np.ceil(top))), min(shape[0], int(np.floor(top + size[0]))))
    columns = slice(max(0, int(np.ceil(left))), min(shape[1], int(np.floor(left + size[1]))))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def enlarge(values: Floats, place: tuple[float, float], scale: float, area: tuple[slice, slice]) -> Floats:
    """Return a window's map, ``scale`` times as large and put at ``place``, on an area of the image."""
    (top, left), (rows, columns) = place, area
    picture = Image.fromarray(values)
    # Pillow refuses a box that leaves the picture by a rounding error.
    box = (
        max((columns.start - left) / scale, 0.0),
        max((rows.start - top) / scale, 0.0),
        min((columns.stop - left) / scale, picture.width),
        min((rows.stop - top) / scale, picture.height),
    )
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box), np.float32)


def tidy(nucleus: Bools, cell: Bools) -> tuple[Bools, Bools]:
    """Keep the part of the cell that holds most of the nucleus, without holes, and the nucleus within it."""
    whole = cell | nucleus
    parts, count = label_parts(whole)
    if count > 1:
        held = np.bincount(parts[nucleus], minlength=count + 1)
        held[0] = 0
        whole = parts == held.argmax()
    cell = fill_holes(whole)
    nucleus = nucleus & cell
    pieces, count = label_parts(nucleus)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        nucleus = (sizes >= SMALLEST_LOBE * sizes.sum())[pieces]
    return nucleus, cell
