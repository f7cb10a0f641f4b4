"""What every step from segmentation to export hands on: a cell as its box in the image and the masks in it.

A slide of a hundred thousand cells is a list of these; a label image of a whole field is made from them where
an export wants one (:func:`render_labels`), and is never carried along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.errors import DataError

Bools = NDArray[np.bool_]

MAX_SIDE_PX = 4096
"""The most that an outline may measure from side to side: far more than a cell, and it bounds memory."""


@dataclass(frozen=True, eq=False)
class BoxedMask:
    """A mask cut to its box.

    Attributes:
        left: column of the image that the first column of ``mask`` is.
        top: row of the image that the first row of ``mask`` is.
        mask: (h, w) bool; every side touches a pixel that is set.
    """

    left: int
    top: int
    mask: Bools

    @property
    def area_px(self) -> int:
        """Number of pixels that are set."""
        return int(np.count_nonzero(self.mask))

    @property
    def centre(self) -> tuple[float, float]:
        """Mean x and y of the pixels, 0 being the centre of the image's first pixel."""
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean()) + self.left, float(rows.mean()) + self.top

    def overlap_px(self, other: BoxedMask) -> int:
        """Return the number of pixels that both have."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.left + self.mask.shape[1], other.left + other.mask.shape[1])
        bottom = min(self.top + self.mask.shape[0], other.top + other.mask.shape[0])
        if left >= right or top >= bottom:
            return 0
        mine = self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]
        theirs = other.mask[top - other.top : bottom - other.top, left - other.left : right - other.left]
        return int(np.count_nonzero(mine & theirs))


@dataclass(frozen=True, eq=False)
class CellOutline:
    """A nucleated cell in an image.

    Attributes:
        left: column of the image that the first column of the masks is.
        top: row of the image that the first row of the masks is.
        cell: (h, w) bool, the whole cell, its nucleus included; every side touches a pixel that is set.
        nucleus: (h, w) bool, all lobes of its nucleus, within ``cell``; at least one pixel is set.
        score: how sure the segmentation network is of the outline, 0 to 1; nan for one that a person drew.
    """

    left: int
    top: int
    cell: Bools
    nucleus: Bools
    score: float

    @property
    def whole(self) -> BoxedMask:
        """The whole cell as a mask with its box."""
        return BoxedMask(self.left, self.top, self.cell)

    @cached_property
    def nucleus_mask(self) -> BoxedMask:
        """The nucleus as a mask with a box of its own."""
        mask = trim_mask(self.nucleus, self.left, self.top)
        if mask is None:
            raise ValueError(f"the cell at ({self.left}, {self.top}) has no nucleus")
        return mask

    @cached_property
    def cell_id(self) -> str:
        """The cell's name in its image, see :func:`name_cell`."""
        return name_cell(self.nucleus_mask)


def name_cell(nucleus: BoxedMask) -> str:
    """Return a cell's name: the pixel of its nucleus that lies nearest to the nucleus' centre.

    Nuclei of one image share no pixel, so no two cells have one name. It depends on the cell's own place
    alone, so that a cell keeps it when others are found, dropped or ordered otherwise.

    Args:
        nucleus: of the cell, or the whole cell where no nucleus is outlined.

    >>> name_cell(BoxedMask(10, 20, np.ones((3, 3), np.bool_)))
    'x11y21'
    """
    rows, columns = np.nonzero(nucleus.mask)
    nearest = int(np.argmin((columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2))
    return f"x{nucleus.left + int(columns[nearest])}y{nucleus.top + int(rows[nearest])}"


def check_side(sides: Iterable[float]) -> None:
    """Refuse an outline of such sides, in pixels, before memory is taken for it.

    Raises:
        DataError: one is over ``MAX_SIDE_PX``.
    """
    if max(sides) > MAX_SIDE_PX:
        raise DataError(f"an outline measures over {MAX_SIDE_PX} pixels, which is no cell")


def trim_mask(mask: Bools, left: int = 0, top: int = 0) -> BoxedMask | None:
    """Return the set pixels of a mask whose first pixel is (left, top) of the image; None where none is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return BoxedMask(left + int(columns[0]), top + int(rows[0]), mask[box])


def clip_mask(mask: BoxedMask, width: int, height: int) -> BoxedMask | None:
    """Return what of a mask lies within an image of this size; None where nothing does."""
    left, top = max(0, -mask.left), max(0, -mask.top)
    inside = mask.mask[top : max(0, height - mask.top), left : max(0, width - mask.left)]
    return trim_mask(inside, mask.left + left, mask.top + top) if inside.size else None


def unite_masks(masks: Sequence[BoxedMask]) -> BoxedMask:
    """Return the union of one or more masks.

    Raises:
        DataError: it measures over ``MAX_SIDE_PX``.
    """
    left, top = min(m.left for m in masks), min(m.top for m in masks)
    right = max(m.left + m.mask.shape[1] for m in masks)
    bottom = max(m.top + m.mask.shape[0] for m in masks)
    check_side((bottom - top, right - left))
    united = np.zeros((bottom - top, right - left), np.bool_)
    for m in masks:
        y, x = m.top - top, m.left - left
        united[y : y + m.mask.shape[0], x : x + m.mask.shape[1]] |= m.mask
    return BoxedMask(left, top, united)


def outline_cell(
    nucleus: Bools, cell: Bools, left: int = 0, top: int = 0, score: float = np.nan
) -> CellOutline | None:
    """Return the cell of two masks of one size, cut to its box.

    Args:
        nucleus: (h, w) bool.
        cell: (h, w) bool; the nucleus is taken in wherever it reaches beyond.
        left: column of the image that the masks' first column is.
        top: row of the image that the masks' first row is.
        score: see :class:`CellOutline`.

    Returns:
        None where the nucleus has no pixel.
    """
    if not nucleus.any():
        return None
    whole = cell | nucleus
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return CellOutline(left + int(columns[0]), top + int(rows[0]), whole[box], nucleus[box], score)


def render_labels(
    outlines: Sequence[CellOutline], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return two label images of a field, (height, width) int32 each: nuclei, and whole cells.

    The i-th outline has the label ``i + 1``, what belongs to no cell is 0. What of an outline lies outside
    the image is left out; where outlines overlap the later one has the pixel.
    """
    nucleus, cell = (np.zeros((height, width), np.int32) for _ in range(2))
    for i, outline in enumerate(outlines, start=1):
        for labels, mask in ((cell, outline.cell), (nucleus, outline.nucleus)):
            part = clip_mask(BoxedMask(outline.left, outline.top, mask), width, height)
            if part is not None:
                h, w = part.mask.shape
                labels[part.top : part.top + h, part.left : part.left + w][part.mask] = i
    return nucleus, cell


def outlines_from_labels(nucleus: NDArray[np.integer], cell: NDArray[np.integer]) -> tuple[CellOutline, ...]:
    """Return the cells of two label images, in the order of their labels.

    Args:
        nucleus: (H, W); 0 outside, ``i`` on the nucleus of cell ``i``.
        cell: (H, W); 0 outside, ``i`` on the whole cell ``i``. A label without a nucleus is no cell.
    """
    found = []
    boxes = ndimage.find_objects(np.maximum(nucleus, cell).astype(np.int32))
    for label, box in enumerate(boxes, start=1):
        if box is None:
            continue
        outline = outline_cell(nucleus[box] == label, cell[box] == label, box[1].start, box[0].start)
        if outline is not None:
            found.append(outline)
    return tuple(found)
