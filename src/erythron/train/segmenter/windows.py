"""Windows around the centres of outlined cells, and around places that belong to none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.outline import CellOutline
from erythron.classify.crops import cut_window
from erythron.read.light import BACKGROUND_LEVEL
from erythron.segment.segmenter import find_candidate_points
from erythron.train.folded_sets import read_folded_sets
from erythron.train.segmenter.annotations import LEAST_PART_PX, AnnotatedImage, read_annotated
from erythron.train.segmenter.sets import DEFAULT_SETS, SegmenterSet
from erythron.train.segmenter.use import CARD, WINDOW_MPP

Pixels = NDArray[np.uint8]

STORE_PX = 144
"""Side of a stored window: what the network's 96 pixels show of it at the least scale, 96 / exp(-0.4)."""

MOST_POINTS = 6
"""Candidate points that are kept of one cell; no cell of the public sets has more than five."""


@dataclass(frozen=True)
class Windows:
    """N windows around points.

    Attributes:
        pixels: (N, P, P, 3) uint8, light relative to the empty smear.
        masks: (N, P, P, 2) uint8; nucleus and whole cell of the cell at the centre, 255 inside; all 0 where
            the centre belongs to no nucleated cell.
        points: (N, MOST_POINTS, 2) float32; the cell's candidate points, (x, y) in pixels from the middle of
            the window, nan beyond their number.
        nucleus_known: (N,) bool; whether the nucleus is in the mask, or plain from its stain.
        source: (N,) str, what results call the set.
        name: (N,) str, file name of the image.
        fold: (N,) int64.
    """

    pixels: Pixels
    masks: Pixels
    points: NDArray[np.float32]
    nucleus_known: NDArray[np.bool_]
    source: NDArray[np.str_]
    name: NDArray[np.str_]
    fold: NDArray[np.int64]

    @property
    def has_cell(self) -> NDArray[np.bool_]:
        """(N,) bool; whether there is a cell at the centre."""
        return np.asarray(self.masks[..., 1].any(axis=(1, 2)))

    def take(self, index: NDArray[np.generic]) -> Windows:
        """Return the windows of the given rows."""
        return Windows(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def load_windows(
    root: Path | None, folds: int, seed: int, sets: Sequence[SegmenterSet] = DEFAULT_SETS
) -> Windows:
    """Read every outlined cell of the sets, and places that are no cell.

    Args:
        root: folder that holds the registered sets; None looks where ``erythron data fetch`` puts them.
        folds: folds, those of the classifier's cross-validation where it takes the same set.
        seed: of the folds and of the choice of places and lone cells.
        sets: which sets.

    Raises:
        UsageError: a set has not been fetched, or another holds all its images.
        DataError: a set is missing, not laid out as expected, or has no outlined cell.
    """
    rng = np.random.default_rng(seed)
    rows: list[_Row] = []
    for folded in read_folded_sets([chosen.data for chosen in sets], folds, seed, root):
        for image in read_annotated(folded, seed, rng):
            rows += _cut_windows(image)
    columns = list(zip(*rows, strict=True))
    stacked = (np.stack(column) for column in columns[:3])
    return Windows(*stacked, *(np.array(column) for column in columns[3:]))


_Row = tuple[Pixels, Pixels, NDArray[np.float32], bool, str, str, int]


def _cut_windows(image: AnnotatedImage) -> Iterator[_Row]:
    """Yield a window around each outlined cell, then one around each empty place."""
    for x, y, label in _find_centres(image):
        pixels = cut_point(image.light, image.mpp, (x, y), STORE_PX)
        own = image.cells == label
        parts = (_cut_mask(part, image.mpp, (x, y)) for part in (image.nucleus & own, own))
        masks = np.stack(list(parts), axis=2)
        known = label not in image.unknown
        points = _find_points(pixels, masks[..., 0 if known else 1])
        yield pixels, masks, points, known, image.source, image.name, image.fold
    nothing = np.zeros((STORE_PX, STORE_PX, 2), np.uint8)
    nowhere = np.full((MOST_POINTS, 2), np.nan, np.float32)
    for place in image.empty:
        pixels = cut_point(image.light, image.mpp, place, STORE_PX)
        yield pixels, nothing, nowhere, True, image.source, image.name, image.fold


def _find_points(pixels: Pixels, mask: Pixels) -> NDArray[np.float32]:
    """Return the candidate points within a mask, (MOST_POINTS, 2), from the middle of the window."""
    found = find_candidate_points(pixels, WINDOW_MPP, CARD)
    rows, columns = np.clip(found.astype(np.int64), 0, STORE_PX - 1).T
    inside = found[mask[rows, columns] > 127][:MOST_POINTS, ::-1] - STORE_PX / 2
    points = np.full((MOST_POINTS, 2), np.nan, np.float32)
    points[: len(inside)] = inside
    return points


def cut_cell(light: Pixels, mpp: float, outline: CellOutline) -> tuple[Pixels, Pixels, NDArray[np.float32]]:
    """Return pixels, masks and points of the :class:`Windows` around the nucleus of an outlined cell.

    Args:
        light: (H, W, 3) uint8, light relative to the empty smear.
        mpp: microns per pixel of the image.
        outline: of the cell.
    """
    x, y = outline.nucleus_mask.centre
    pixels = cut_point(light, mpp, (x, y), STORE_PX)
    place = (x - outline.left, y - outline.top)
    masks = np.stack([_cut_mask(part, mpp, place) for part in (outline.nucleus, outline.cell)], axis=2)
    return pixels, masks, _find_points(pixels, masks[..., 0])


def cut_point(light: Pixels, mpp: float, point: tuple[float, float], size: int) -> Pixels:
    """Return a square around a point at ``WINDOW_MPP``, (size, size, 3) uint8; beyond the image is smear.

    Args:
        light: (H, W, 3) uint8.
        mpp: microns per pixel of the image.
        point: (x, y) in pixels, 0 being the centre of the first pixel.
        size: side of the square in its own pixels.
    """
    return _cut(light, mpp, point, size, BACKGROUND_LEVEL)


def _cut_mask(mask: NDArray[np.bool_], mpp: float, point: tuple[float, float]) -> Pixels:
    return _cut(mask.astype(np.uint8) * 255, mpp, point, STORE_PX, 0)


def _cut(image: Pixels, mpp: float, point: tuple[float, float], size: int, fill: int) -> Pixels:
    half = size * WINDOW_MPP / mpp / 2
    x, y = point[0] + 0.5, point[1] + 0.5
    left, top = int(np.floor(x - half)), int(np.floor(y - half))
    window = (left, top, int(np.ceil(x + half)), int(np.ceil(y + half)))
    box = (x - half - left, y - half - top, x + half - left, y + half - top)
    cut = Image.fromarray(cut_window(image, window, fill))
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR, box))


def _find_centres(image: AnnotatedImage) -> Iterator[tuple[float, float, int]]:
    """Yield centre and label of each cell: of its nucleus, or of the whole where that is not known."""
    for label in range(1, int(image.cells.max(initial=0)) + 1):
        own = image.cells == label
        inner = own & image.nucleus
        ys, xs = np.nonzero(inner if inner.any() else own)
        if len(xs) > LEAST_PART_PX:
            yield float(xs.mean()), float(ys.mean()), label
