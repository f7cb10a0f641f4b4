"""Nuclear pixels to single nuclei: splitting at necks, and which lobes belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from erythron.segment.stain import otsu

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

NECK = 0.75
CONVEX = 0.9
MAX_DEPTH = 3
KEPT = 0.5
GAIN = 0.03


def touching(labels: IntArray, weight: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the pairs of labels that touch, (P, 2), and the highest ``weight`` on each shared border, (P,)."""
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
    """Return the parts of a mask, (H, W) int32, cut where a neck is narrow against the smaller part it joins."""
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)), np.float32)[1:-1, 1:-1]
    depth = ndimage.gaussian_filter(depth, 1.0)
    peaks = peak_local_max(depth, min_distance=min_distance_px, labels=mask.astype(np.int32), exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = np.asarray(watershed(-depth, markers, mask=mask), np.int32)
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


def hull_points(mask: BoolArray) -> NDArray[np.float64]:
    """Return the corners of a mask's convex hull, (P, 2), pixels taken as squares."""
    rim = mask & ~ndimage.binary_erosion(mask)
    points = np.argwhere(rim).astype(np.float64)
    points = np.concatenate([points + d for d in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))])
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def solidity(mask: BoolArray) -> float:
    """Return area over area of the convex hull."""
    return float(np.count_nonzero(mask) / ConvexHull(hull_points(mask)).volume)


def find_cores(channel: FloatArray, mask: BoolArray, smallest_px: float) -> IntArray:
    """Return one marker a nucleus, (H, W) int32: pieces of the mask, thresholded again until they are convex.

    A piece that is not convex is cut at its own Otsu threshold; the cut holds where it leaves most of the piece in
    large enough parts.
    """
    cores = np.zeros(mask.shape, np.int32)
    count = 0
    pieces, _ = ndimage.label(mask)
    todo = [(box, pieces[box] == i, 0) for i, box in enumerate(ndimage.find_objects(pieces), 1)]
    while todo:
        box, piece, depth = todo.pop()
        area = np.count_nonzero(piece)
        if area < smallest_px:
            continue
        shape = solidity(piece)
        if depth < MAX_DEPTH and area > 2 * smallest_px and shape < CONVEX:
            inner = piece & (channel[box] > otsu(channel[box][piece]))
            inner = ndimage.binary_fill_holes(ndimage.binary_opening(inner, iterations=1))
            parts, _ = ndimage.label(inner)
            sizes = np.bincount(parts.ravel())[1:]
            large = np.flatnonzero(sizes >= smallest_px) + 1
            kept = sizes[large - 1].sum()
            found = ndimage.find_objects(parts)
            subs = [(found[i - 1], parts[found[i - 1]] == i) for i in large]
            if kept > KEPT * area and sum(solidity(m) * m.sum() for _, m in subs) / kept > shape + GAIN:
                for sub, part in subs:
                    whole = tuple(
                        slice(b.start + c.start, b.start + c.stop) for b, c in zip(box, sub, strict=True)
                    )
                    todo.append((whole, part, depth + 1))
                continue
        for part in _parts(split_at_necks(piece, 3)):
            count += 1
            cores[box][part] = count
    return cores


def _parts(labels: IntArray) -> list[BoolArray]:
    return [labels == i for i in range(1, int(labels.max(initial=0)) + 1)]
