"""Segmentation without a learned model: an adapted stain direction, distance-transform markers, seeded watershed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.segmentation import watershed

from erythron.segment.nuclei import find_cores, hull_points, solidity
from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import (
    MIN_CONTRAST,
    MIN_LIGHT,
    StainModel,
    Surroundings,
    balance,
    estimate_background,
    fit_stain,
    nuclear_channel,
    otsu,
    otsu_three,
)

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
REACH = 2.2
SPECK = 0.12


def _empty(shape: tuple[int, ...]) -> Segmentation:
    zero = np.zeros(shape[:2], np.int32)
    return Segmentation(zero, zero.copy())


def _nuclear_threshold(channel: FloatArray) -> float:
    return min(otsu_three(channel)[1], 1.3 * otsu(channel))


def _typical_radius(parts: IntArray) -> float:
    area = np.sort(np.bincount(parts.ravel())[1:])
    if not len(area):
        return 1.0
    heavy = area[np.searchsorted(np.cumsum(area), area.sum() / 2)]
    return float(np.sqrt(heavy / np.pi))


def _surroundings(parts: IntArray, limit: float) -> Surroundings:
    area = np.bincount(parts.ravel())
    distance, nearest = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    radius = np.minimum(np.sqrt(area / np.pi), limit).astype(np.float32)
    return Surroundings(parts > 0, (distance / radius[parts[tuple(nearest)]]).astype(np.float32))


def _drop_specks(parts: IntArray, smallest: float) -> IntArray:
    area = np.bincount(parts.ravel())
    keep = area >= smallest
    keep[0] = False
    if not keep.any():
        return np.zeros_like(parts)
    table = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(table[parts], np.int32)


def _grow(cell: FloatArray, parts: IntArray, around: Surroundings, model: StainModel) -> IntArray:
    mask = (around.distance < REACH) & (cell > model.cell_threshold) | (parts > 0)
    mask = np.asarray(ndimage.binary_opening(mask, iterations=1)) | (parts > 0)
    edge = ndimage.gaussian_gradient_magnitude(cell, 1.0) / max(model.cell_contrast, 1e-3)
    return np.asarray(watershed(around.distance + 2 * edge, parts, mask=mask), np.int32)


def _choose_central(parts: IntArray, cells: IntArray) -> list[int]:
    """Labels of the parts that together make the most convex, best centred cell."""
    height, width = parts.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    distance = np.hypot(*np.ogrid[-middle[0] : height - middle[0], -middle[1] : width - middle[1]])
    labels = np.unique(parts[parts > 0])
    area = np.bincount(cells.ravel(), minlength=labels[-1] + 1)
    nearest = ndimage.minimum(distance, parts, labels)
    size = min(height, width)
    order = np.argsort(nearest)[:6]
    if nearest[order[0]] > 0.25 * size:
        return [int(labels[np.argmax(np.bincount(parts.ravel())[labels])])]
    near = [int(labels[i]) for i in order if nearest[i] < 0.3 * size]
    hulls = {i: hull_points(cells == i) for i in near}
    cores = {i: hull_points(parts == i) for i in near}
    own = np.bincount(parts.ravel())
    perimeter, contact = _contacts(parts)
    best, chosen = np.inf, near[:1]
    for bits in range(1, 1 << len(near)):
        group = [near[i] for i in range(len(near)) if bits >> i & 1]
        points = np.concatenate([hulls[i] for i in group])
        total = float(sum(area[i] for i in group))
        convex = total / max(float(ConvexHull(points).volume), 1.0)
        offset = np.hypot(*((points.min(axis=0) + points.max(axis=0)) / 2 - middle))
        inside = contact[np.ix_(group, group)].sum()
        rim = perimeter[group].sum() - inside
        shared = (contact[group].sum() - inside) / max(rim, 1)
        inner = np.concatenate([cores[i] for i in group])
        stained = float(own[group].sum())
        lobed = 1 - stained / max(float(ConvexHull(inner).volume), 1.0)
        aside = np.hypot(*((inner.min(axis=0) + inner.max(axis=0)) / 2 - middle))
        cost = (1 - convex) + 0.3 * offset / np.sqrt(total) + 0.1 * shared
        cost += 0.3 * lobed + 0.6 * aside / np.sqrt(stained)
        if cost < best:
            best, chosen = cost, group
    return chosen


def _contacts(parts: IntArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Perimeter of each part in pixel edges, (N + 1,), and the edges each pair shares, (N + 1, N + 1)."""
    count = int(parts.max()) + 1
    edges = np.zeros((count, count), np.int64)
    for a, b in ((parts[1:], parts[:-1]), (parts[:, 1:], parts[:, :-1])):
        differ = a != b
        np.add.at(edges, (a[differ], b[differ]), 1)
    edges = edges + edges.T
    perimeter = edges.sum(axis=1)
    edges[0] = edges[:, 0] = 0
    return perimeter, edges


def _outline_nucleus(light: FloatArray, channel: FloatArray, cell: BoolArray, threshold: float) -> BoolArray:
    """Nucleus of one cell: its more stained part or, in deep blue cells, the redder middle."""
    stained = cell & (channel > otsu(channel[cell]))
    opened = ndimage.binary_opening(stained)
    nucleus = np.asarray(opened if opened.any() else stained)
    base = cell & (channel > 0.8 * threshold)
    if np.count_nonzero(base) < 0.8 * np.count_nonzero(cell):
        return nucleus
    redness = light[..., 0] / np.maximum(light[..., 2], MIN_LIGHT)
    red = np.asarray(ndimage.binary_opening(base & (redness > otsu(redness[base])), iterations=2))
    if not red.any():
        return nucleus
    pieces, _ = ndimage.label(red)
    red = np.asarray(ndimage.binary_fill_holes(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])))
    rest, share = base & ~red, np.count_nonzero(red) / np.count_nonzero(cell)
    if not 0.35 < share < 0.92 or not rest.any() or solidity(red) < 0.88:
        return nucleus
    depth = ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    central = (depth[red].mean() - depth[cell & ~red].mean()) / depth.max()
    redder = np.median(redness[red]) - np.median(redness[rest])
    return red if central > 0.2 and redder > 0.08 else nucleus


def _finish(nucleus: BoolArray, cell: BoolArray) -> tuple[BoolArray, BoolArray]:
    radius = max(1, round(0.12 * np.sqrt(np.count_nonzero(cell) / np.pi)))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    padded = np.pad(cell, radius, mode="edge")
    cell = ndimage.binary_opening(padded, disc)[radius:-radius, radius:-radius] | nucleus
    pieces, _ = ndimage.label(cell)
    hits = np.bincount(pieces[nucleus])
    cell = ndimage.binary_fill_holes(pieces == np.argmax(hits)) if len(hits) else cell
    return nucleus & cell, cell


def segment_field(rgb: NDArray[np.uint8], mpp: float | None = None) -> Segmentation:
    """Return every nucleated cell of a field.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: microns per pixel where known; size priors come from the image itself otherwise.
    """
    background = estimate_background(rgb)
    light = balance(rgb, background, 1.0)
    channel = nuclear_channel(light)
    if np.ptp(channel) < MIN_CONTRAST:
        return _empty(rgb.shape)
    threshold = _nuclear_threshold(channel)
    mask = ndimage.binary_opening(channel > threshold, iterations=1)
    pieces, _ = ndimage.label(mask)
    radius = _typical_radius(pieces)
    smooth = ndimage.gaussian_filter(channel, max(0.5, 0.06 * radius))
    mask = np.asarray(ndimage.binary_fill_holes(mask))
    cores = find_cores(smooth, mask, SPECK * np.pi * radius**2)
    parts = np.asarray(watershed(-channel, cores, mask=mask), np.int32)
    parts = _drop_specks(parts, SPECK * np.pi * radius**2)
    if not parts.any():
        return _empty(rgb.shape)
    around = _surroundings(parts, 2 * radius)
    model = fit_stain(background, light, threshold, around)
    cells = _grow(light @ model.direction, parts, around, model)
    return Segmentation(parts, cells)


def segment_central(rgb: NDArray[np.uint8], mpp: float | None = None) -> Segmentation:
    """Return the nucleated cell at the centre of a crop; count 0 only where the image is blank.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: microns per pixel where known.
    """
    background = estimate_background(rgb)
    light = balance(rgb, background, 1.0)
    channel = nuclear_channel(light)
    if np.ptp(channel) < MIN_CONTRAST:
        return _empty(rgb.shape)
    threshold = _nuclear_threshold(channel)
    mask = np.asarray(ndimage.binary_opening(channel > threshold, iterations=1))
    if not mask.any():
        mask = channel > threshold
    size = min(rgb.shape[:2])
    radius = _typical_radius(np.asarray(ndimage.label(mask)[0], np.int32))
    smooth = ndimage.gaussian_filter(channel, max(0.5, 0.06 * radius))
    cores = find_cores(smooth, mask, 0.002 * size**2)
    parts = np.asarray(watershed(-channel, cores, mask=mask), np.int32)
    parts = _drop_specks(parts, min(0.002 * size**2, np.bincount(parts.ravel())[1:].max()))
    around = _surroundings(parts, 0.22 * size)
    model = fit_stain(background, light, threshold, around)
    projected = light @ model.direction
    cells = _grow(projected, parts, around, model)
    chosen = _choose_central(parts, cells)
    parts[np.isin(parts, chosen)] = chosen[0]
    around = _surroundings(parts, 0.3 * size)
    model = fit_stain(background, light, threshold, around)
    cell = _grow(light @ model.direction, parts, around, model) == chosen[0]
    nucleus = _outline_nucleus(light, channel, cell, threshold)
    nucleus, cell = _finish(nucleus, cell)
    return Segmentation(nucleus.astype(np.int32), cell.astype(np.int32))
