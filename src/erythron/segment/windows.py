"""The cells at given points: the network outlines each in its window, and repeats of a cell are dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.runtime import Runtime
from erythron.read.light import BACKGROUND_LEVEL

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

BATCH = 128
"""Windows that the network is given at once; it limits memory and changes no outline."""

SURE, POSSIBLE = 0.7, 0.3
"""Probabilities above which a pixel surely, or possibly, belongs to the cell.

``benchmarks/constants.py`` measures both.
"""


@dataclass(frozen=True)
class OutlinedCells:
    """N cells of one image at the segmentation network's scale.

    Attributes:
        corner: (N, 2) int64, row and column of each window's first pixel in the image.
        maps: (N, 2, S, S) float32, probability of nucleus and of cell.
        score: (N,) float32, how sure the network is of each cell, 0 to 1.
    """

    corner: NDArray[np.int64]
    maps: Floats
    score: Floats

    def take(self, index: NDArray[np.generic]) -> OutlinedCells:
        """Return the cells of the given rows."""
        return OutlinedCells(self.corner[index], self.maps[index], self.score[index])


def outline_points(network: Runtime, image: Pixels, points: NDArray[np.floating], size: int) -> OutlinedCells:
    """Outline the cell at each point.

    Args:
        network: takes ``pixels``, (N, S, S, 3) uint8, and returns ``probabilities``, (N, 2, S, S) float32.
        image: (H, W, 3) uint8, balanced light at the segmentation network's scale.
        points: (N, 2) row and column.
        size: S.
    """
    corner = np.floor(points - size / 2 + 0.5).astype(np.int64)
    padded = np.pad(image, ((size, size), (size, size), (0, 0)), constant_values=BACKGROUND_LEVEL)
    start = np.clip(corner + size, 0, np.array(padded.shape[:2]) - size)
    if not len(start):
        return OutlinedCells(start, np.zeros((0, 2, size, size), np.float32), np.zeros(0, np.float32))
    windows = np.stack([padded[y : y + size, x : x + size] for y, x in start])
    maps = np.concatenate(
        [
            network.run({"pixels": windows[i : i + BATCH]})["probabilities"]
            for i in range(0, len(windows), BATCH)
        ]
    )
    return OutlinedCells(start - size, maps, _score(maps))


def join_cells(first: OutlinedCells, second: OutlinedCells) -> OutlinedCells:
    """Return the cells of both, in order."""
    return OutlinedCells(
        np.concatenate([first.corner, second.corner]),
        np.concatenate([first.maps, second.maps]),
        np.concatenate([first.score, second.score]),
    )


def _score(maps: Floats) -> Floats:
    """Return how sure each cell is: mean probability of its nucleus times sharpness of its outline."""
    nucleus, cell = maps[:, 0], maps[:, 1]
    inner = nucleus > 0.5
    area = np.count_nonzero(inner, axis=(1, 2))
    trust = (nucleus * inner).sum((1, 2)) / np.maximum(area, 1)
    sure, possible = (np.count_nonzero(cell > level, axis=(1, 2)) for level in (SURE, POSSIBLE))
    return np.asarray(np.where(area > 0, trust * sure / np.maximum(possible, 1), 0), np.float32)


def nucleus_centres(found: OutlinedCells) -> Floats:
    """Return (N, 2) row and column of the centre of each nucleus, in the image."""
    weight = found.maps[:, 0] * (found.maps[:, 0] > 0.5)
    total = np.maximum(weight.sum((1, 2)), 1e-6)
    steps = np.arange(weight.shape[1]) + 0.5
    rows = (weight.sum(2) * steps).sum(1) / total
    columns = (weight.sum(1) * steps).sum(1) / total
    return np.stack([rows, columns], 1).astype(np.float32) + found.corner.astype(np.float32)


def find_distinct(found: OutlinedCells, most_overlap: float) -> NDArray[np.int64]:
    """Return the rows of the cells that repeat no surer one.

    Args:
        found: the cells.
        most_overlap: share of the smaller nucleus in the larger above which two cells are one.
    """
    order = np.argsort(-found.score, kind="stable")
    nuclei = found.maps[:, 0] > 0.5
    area = np.count_nonzero(nuclei, axis=(1, 2))
    first, last = _find_boxes(nuclei, found.corner)
    (tops, lefts), (bottoms, rights) = np.ascontiguousarray(first.T), np.ascontiguousarray(last.T)
    is_kept = np.zeros(len(order), bool)
    for i in order:
        near = is_kept & (tops < bottoms[i]) & (tops[i] < bottoms) & (lefts < rights[i]) & (lefts[i] < rights)
        for j in np.flatnonzero(near):
            top, left = max(tops[i], tops[j]), max(lefts[i], lefts[j])
            bottom, right = min(bottoms[i], bottoms[j]), min(rights[i], rights[j])
            mine, other = (
                nuclei[k, top - y : bottom - y, left - x : right - x]
                for k, (y, x) in ((i, found.corner[i]), (j, found.corner[j]))
            )
            if np.count_nonzero(mine & other) > most_overlap * min(area[i], area[j]):
                break
        else:
            is_kept[i] = True
    return np.flatnonzero(is_kept)


def _find_boxes(
    nuclei: NDArray[np.bool_], corner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first row and column of each nucleus in the image, and those after its last, (N, 2) each."""
    size = nuclei.shape[-1]
    lines = np.stack([nuclei.any(2), nuclei.any(1)], 1)
    first = lines.argmax(2)
    last = np.where(lines.any(2), size - lines[:, :, ::-1].argmax(2), 0)
    return corner + first, corner + last
