"""Discs that touch, parted at their necks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

NECK = 0.85


def touching(labels: IntArray, weight: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the pairs of labels that touch, (P, 2), and the highest ``weight`` on their border, (P,)."""
    pairs, values = [], []
    for a, b, u, v in (
        (labels[1:], labels[:-1], weight[1:], weight[:-1]),
        (labels[:, 1:], labels[:, :-1], weight[:, 1:], weight[:, :-1]),
    ):
        here = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.stack([a[here], b[here]], axis=1), axis=1))
        values.append(np.minimum(u[here], v[here]))
    pair, value = np.concatenate(pairs), np.concatenate(values)
    if not len(pair):
        return np.zeros((0, 2), np.int32), np.zeros(0, np.float32)
    unique, index = np.unique(pair, axis=0, return_inverse=True)
    highest = np.full(len(unique), -np.inf, np.float32)
    np.maximum.at(highest, index.ravel(), value)
    return unique.astype(np.int32), highest


def split_at_necks(mask: BoolArray, min_distance_px: int) -> IntArray:
    """Return the parts of a mask, (H, W) int32, cut where a neck is narrow against the smaller part."""
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)), np.float32)[1:-1, 1:-1]
    depth = ndimage.gaussian_filter(depth, 1.0)
    inside = mask.astype(np.int32)
    peaks = peak_local_max(  # type: ignore[no-untyped-call]
        depth, min_distance=min_distance_px, labels=inside, exclude_border=False
    )
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    flooded = watershed(-depth, markers, mask=mask)  # type: ignore[no-untyped-call]
    parts = np.asarray(flooded, np.int32)
    pairs, saddles = touching(parts, depth)
    height = np.zeros(len(peaks) + 1, np.float32)
    height[1:] = depth[tuple(peaks.T)]
    root = np.arange(len(peaks) + 1)

    def find(i: int) -> int:
        while root[i] != i:
            i = int(root[i])
        return i

    for k in np.argsort(-saddles, kind="stable"):
        a, b = find(int(pairs[k, 0])), find(int(pairs[k, 1]))
        if a != b and saddles[k] > NECK * min(height[a], height[b]):
            keep, drop = (a, b) if height[a] >= height[b] else (b, a)
            root[drop] = keep
    table = np.array([find(i) for i in range(len(root))], np.int32)
    kept = np.unique(table)
    return np.searchsorted(kept, table).astype(np.int32)[parts]


def _outer_corners(mask: BoolArray) -> NDArray[np.float64]:
    """Return the outermost pixel corners of every row of a mask, (P, 2), pixels taken as squares."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = np.argmax(mask[rows], axis=1) - 0.5
    last = mask.shape[1] - np.argmax(mask[rows, ::-1], axis=1) - 0.5
    y, x = np.concatenate([rows - 0.5, rows + 0.5] * 2), np.concatenate([first, first, last, last])
    return np.stack([y, x], axis=1)


def solidity(mask: BoolArray) -> float:
    """Return area over area of the convex hull."""
    return float(np.count_nonzero(mask) / ConvexHull(_outer_corners(mask)).volume)
