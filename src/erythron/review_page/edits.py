"""Outlines that a person makes: a missed cell by a click, one drawn by hand, one split, several merged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from erythron.cells.outline import BoxedMask, CellOutline, clip_mask, outline_cell, unite_masks
from erythron.classify.framing import choose_mpp
from erythron.errors import DataError
from erythron.interchange.outlines import fill_parts, trace_mask
from erythron.pipeline.field import Model
from erythron.read.image import SmearImage
from erythron.review.record import AddedCell

_MOST_CUT = 0.2
"""Part of a nucleus that may be cut off to give it a name of its own."""

Bools = NDArray[np.bool_]
Point = tuple[float, float]

_SAME_NUCLEUS = 0.5
"""Part of a new nucleus that may lie in those of other cells; above it the cell is outlined already."""

_LEAST_PX = 12
"""Pixels of the smallest nucleus: what is smaller was a slip of the hand."""

_LEAST_NUCLEUS = 0.1
"""Part of a drawn cell that its nucleus must fill to be taken from the network; else the whole is nucleus."""


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels in which a person outlines a cell: a whole field, or the part of a slide around the cell.

    Attributes:
        image: the pixels.
        left: its first column in the field or slide, to which all places that come and go are.
        top: its first row there.
    """

    image: SmearImage
    left: int = 0
    top: int = 0

    def bring(self, points: Sequence[Point]) -> list[Point]:
        """Return places of the field or slide as those of the pixels."""
        return [(x - self.left, y - self.top) for x, y in points]

    def put_back(self, outline: CellOutline) -> CellOutline:
        """Return an outline in the pixels as one in the field or slide."""
        return replace(outline, left=outline.left + self.left, top=outline.top + self.top)


def outline_click(part: Part, place: Point, model: Model) -> CellOutline:
    """Return the cell at a place, as the segmentation network outlines it.

    Args:
        part: the pixels around the place.
        place: column and row, 0 being the edges of the first pixel.
        model: of the run.

    Raises:
        DataError: the network sees no nucleated cell there.
    """
    [here] = part.bring([place])
    return part.put_back(_outline_at(part.image, here, model))


def _outline_at(image: SmearImage, place: Point, model: Model) -> CellOutline:
    mpp = choose_mpp(image, model.bundle.card.framing, is_field=True)
    found = model.get_networks().segmenter.segment_at(image.light, mpp, *place)
    if found is None:
        raise DataError("the network sees no nucleated cell there; draw its outline by hand")
    return found


def outline_drawn(
    part: Part, cell: Sequence[Point], nucleus: Sequence[Point] | None, model: Model
) -> CellOutline:
    """Return a cell that a person drew.

    Args:
        part: the pixels around the cell.
        cell: corners of the whole cell, in pixels of the field or slide.
        nucleus: those of its nucleus; None to take what the network sees of a nucleus inside the cell, or the
            whole where it sees none.
        model: of the run.

    Raises:
        DataError: a polygon encloses nothing, lies outside the image or is far larger than a cell.
    """
    image = part.image
    whole = _fill(part.bring(cell), image)
    if nucleus is not None:
        core = _fill(part.bring(nucleus), image)
        whole = unite_masks([whole, core])
        inner = _place(core, whole)
    else:
        inner = _see_nucleus(image, whole, model)
    found = outline_cell(inner, whole.mask, whole.left, whole.top)
    if found is None:
        raise DataError("the outline encloses nothing; draw it larger")
    return part.put_back(found)


def _fill(ring: Sequence[Point], image: SmearImage) -> BoxedMask:
    filled = fill_parts([[[list(point) for point in ring]]])
    inside = None if filled is None else clip_mask(filled, image.width_px, image.height_px)
    if inside is None or inside.area_px < _LEAST_PX:
        raise DataError("the outline encloses hardly any pixel of the image; draw it larger")
    return inside


def _place(mask: BoxedMask, box: BoxedMask) -> Bools:
    """Return a mask in the box of another that holds it."""
    placed = np.zeros_like(box.mask)
    top, left = mask.top - box.top, mask.left - box.left
    height, width = mask.mask.shape
    placed[top : top + height, left : left + width] = mask.mask
    return placed


def _see_nucleus(image: SmearImage, whole: BoxedMask, model: Model) -> Bools:
    """Return what the network sees of a nucleus in a drawn cell; the whole cell where it sees none."""
    try:
        x, y = whole.centre
        seen = _outline_at(image, (x + 0.5, y + 0.5), model)
    except DataError:
        return whole.mask
    joined = unite_masks([whole, seen.nucleus_mask])
    inside = _place(seen.nucleus_mask, joined) & _place(whole, joined)
    top, left = whole.top - joined.top, whole.left - joined.left
    height, width = whole.mask.shape
    nucleus = inside[top : top + height, left : left + width]
    return nucleus if np.count_nonzero(nucleus) >= _LEAST_NUCLEUS * whole.area_px else whole.mask


def split_outline(outline: CellOutline, seeds: Sequence[Point] = ()) -> tuple[CellOutline, ...]:
    """Return the cells that one outline holds, parted where the nucleus is narrowest between the seeds.

    Args:
        outline: of the cells.
        seeds: a point in each of them, in pixels of the image, 0 being the edges of the first one; with none,
            two at the ends of the nucleus.

    Raises:
        DataError: the seeds do not lie in different parts of the outline.
    """
    nuclei = _part_by_seeds(outline, seeds) if seeds else _part_at_waist(outline.nucleus)
    cells = watershed(np.zeros(nuclei.shape), nuclei, mask=outline.cell)  # type: ignore[no-untyped-call]
    parts = [
        outline_cell(nuclei == number, cells == number, outline.left, outline.top)
        for number in range(1, int(nuclei.max()) + 1)
    ]
    kept = tuple(part for part in parts if part is not None and part.nucleus_mask.area_px >= _LEAST_PX)
    if len(kept) < 2:
        raise DataError("the outline holds one nucleus that does not part; draw the cells by hand")
    return kept


def _part_by_seeds(outline: CellOutline, seeds: Sequence[Point]) -> NDArray[np.int32]:
    """Return the nucleus as a label image, one label a seed, parted where it is narrowest between them."""
    markers = np.zeros(outline.cell.shape, np.int32)
    height, width = outline.cell.shape
    for number, (x, y) in enumerate(seeds, start=1):
        row, column = math.floor(y) - outline.top, math.floor(x) - outline.left
        if not (0 <= row < height and 0 <= column < width and outline.cell[row, column]):
            raise DataError("a point lies outside the cell; click on each of the cells in the outline")
        markers[_nearest(outline.nucleus, row, column)] = number
    if len(np.unique(markers)) < max(3, len(seeds) + 1):
        raise DataError("the points lie in one place; click on each of the cells in the outline")
    # The box is tight, so what lies beyond it is added: there is no nucleus either.
    depth = ndimage.distance_transform_edt(np.pad(outline.nucleus, 1))[1:-1, 1:-1]
    parted = watershed(-depth, markers, mask=outline.nucleus)  # type: ignore[no-untyped-call]
    return np.asarray(parted, np.int32)


def _part_at_waist(nucleus: Bools) -> NDArray[np.int32]:
    """Return a nucleus as a label image of two parts, cut across its longest axis where it is narrowest."""
    rows, columns = np.nonzero(nucleus)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    points -= points.mean(axis=0)
    along = points @ np.linalg.svd(points, full_matrices=False)[2][0]
    steps = np.floor(along - along.min()).astype(np.int64)
    sizes = np.bincount(steps).astype(np.float64)
    before = np.cumsum(sizes) - sizes
    # A short cut between large parts: its length over the size of the smaller part.
    cost = ndimage.uniform_filter1d(sizes, 3) / np.maximum(np.minimum(before, before[-1] - before), 1e-9)
    cut = int(np.argmin(cost))
    parts = np.zeros(nucleus.shape, np.int32)
    parts[rows, columns] = np.where(steps < cut, 1, 2)
    return parts


def _nearest(mask: Bools, row: int, column: int) -> tuple[int, int]:
    """Return the set pixel that lies nearest to one."""
    rows, columns = np.nonzero(mask)
    at = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    return int(rows[at]), int(columns[at])


def merge_outlines(outlines: Sequence[CellOutline]) -> CellOutline:
    """Return one cell of several.

    Raises:
        DataError: they lie too far apart to be one cell.
    """
    whole = unite_masks([outline.whole for outline in outlines])
    _, count = ndimage.label(ndimage.binary_dilation(np.pad(whole.mask, 3), iterations=3))
    if count > 1:
        raise DataError("these cells do not touch, so they are not one cell")
    nucleus = unite_masks([outline.nucleus_mask for outline in outlines])
    merged = outline_cell(_place(nucleus, whole), whole.mask, whole.left, whole.top)
    if merged is None:
        raise DataError("these cells have no nucleus")
    return merged


def keep_apart(outline: CellOutline, others: Sequence[CellOutline]) -> CellOutline:
    """Return a new cell without the pixels of the nuclei of other cells: no pixel is of two nuclei.

    Args:
        outline: of the new cell.
        others: the cells that stay beside it.

    Raises:
        DataError: most of it is another cell's nucleus, so that it is outlined already.
    """
    nucleus = outline.nucleus_mask
    free = outline.nucleus.copy()
    for other in others:
        taken = other.nucleus_mask
        if nucleus.overlap_px(taken) == 0:
            continue
        top, left = taken.top - outline.top, taken.left - outline.left
        rows, columns = (
            np.add(at, shift) for at, shift in zip(np.nonzero(taken.mask), (top, left), strict=True)
        )
        inside = (rows >= 0) & (rows < free.shape[0]) & (columns >= 0) & (columns < free.shape[1])
        free[rows[inside], columns[inside]] = False
    lost = np.count_nonzero(outline.nucleus) - np.count_nonzero(free)
    if lost > _SAME_NUCLEUS * nucleus.area_px:
        raise DataError("a cell is outlined there already; select it, or take it away first")
    kept = outline_cell(
        free, outline.cell & ~(outline.nucleus & ~free), outline.left, outline.top, outline.score
    )
    if kept is None:
        raise DataError("a cell is outlined there already; select it, or take it away first")
    return kept


def name_apart(outline: CellOutline, is_taken: Callable[[str], bool]) -> CellOutline:
    """Return a new cell with a name that no other has, a few pixels off its nucleus where need be.

    A cell is named by the centre of its nucleus, so one that is outlined anew may meet the name of the one in
    whose place it comes.

    Args:
        outline: of the new cell.
        is_taken: whether a name is that of another cell.

    Raises:
        DataError: no small cut gives it another name.
    """
    columns, rows = np.nonzero(outline.nucleus.T)  # from left to right
    for cut in range(round(_MOST_CUT * len(rows)) + 1):
        nucleus = outline.nucleus.copy()
        nucleus[rows[:cut], columns[:cut]] = False
        named = replace(outline, nucleus=nucleus)
        if not is_taken(named.cell_id):
            return named
    raise DataError("a cell with the centre of its nucleus just there is outlined already")


def describe_added(outline: CellOutline) -> AddedCell:
    """Return a new cell as the review keeps it."""
    return AddedCell(
        cell_id=outline.cell_id,
        cell=tuple(trace_mask(outline.whole)),
        nucleus=tuple(trace_mask(outline.nucleus_mask)),
    )
