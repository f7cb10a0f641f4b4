"""Segmentation without a learned model: adapted stain direction, convex cores, seeded watershed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.segmentation import watershed

from erythron.segment.nuclei import fill_holes, find_cores, hull_points, solidity
from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import (
    MIN_CONTRAST,
    MIN_LIGHT,
    MIN_NUCLEAR,
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
NUCLEAR_RADIUS_UM = (2.5, 6.0)
JOIN_BORDER, JOIN_AREA, JOIN_CONVEX = 0.6, 1.5, 0.93
TILE_PX, SAMPLE_PX = 1536, 640
FRAGMENT, HOLE, SMOOTH = 0.08, 0.05, 0.12


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


def _find_nearest(parts: IntArray) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Distance of each pixel to the nearest part, (H, W), and that part's place, (2, H, W)."""
    distance, nearest = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    return distance, nearest


def _surroundings(
    parts: IntArray, limit: float, nearest: tuple[NDArray[np.float64], NDArray[np.int32]] | None = None
) -> Surroundings:
    """Distances in radii of the nearest part; ``nearest`` is :func:`_find_nearest` of the same pixels."""
    distance, place = _find_nearest(parts) if nearest is None else nearest
    radius = np.minimum(np.sqrt(np.bincount(parts.ravel()) / np.pi), limit).astype(np.float32)
    return Surroundings(parts > 0, (distance / radius[parts[tuple(place)]]).astype(np.float32))


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
    flooded = watershed(around.distance + 2 * edge, parts, mask=mask)  # type: ignore[no-untyped-call]
    return np.asarray(flooded, np.int32)


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
    redness = (light[..., 0] / np.maximum(light[..., 2], MIN_LIGHT)).astype(np.float32)
    red = np.asarray(ndimage.binary_opening(base & (redness > otsu(redness[base])), iterations=2))
    if not red.any():
        return nucleus
    pieces, _ = ndimage.label(red)
    red = fill_holes(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))
    rest, share = base & ~red, np.count_nonzero(red) / np.count_nonzero(cell)
    if not 0.35 < share < 0.92 or not rest.any() or solidity(red) < 0.88:
        return nucleus
    depth = ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    central = (depth[red].mean() - depth[cell & ~red].mean()) / depth.max()
    redder = np.median(redness[red]) - np.median(redness[rest])
    return red if central > 0.2 and redder > 0.08 else nucleus


def _open(mask: BoolArray, radius_px: float) -> BoolArray:
    """Opening by a disc, through two distance transforms: its time does not grow with the radius."""
    margin = int(radius_px) + 2
    padded = np.pad(mask, margin, mode="edge")
    core = ndimage.distance_transform_edt(padded) > radius_px
    if not core.any():
        return np.zeros_like(mask)
    opened = ndimage.distance_transform_edt(~core) <= radius_px
    return np.asarray(opened[margin:-margin, margin:-margin])


def _finish(nucleus: BoolArray, cell: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Smooth both outlines, drop fragments of the nucleus and pieces of cytoplasm away from it."""
    pieces, _ = ndimage.label(nucleus)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    nucleus = (sizes >= FRAGMENT * sizes.sum())[pieces]
    holes, _ = ndimage.label(~nucleus)
    nucleus = nucleus | (np.bincount(holes.ravel()) < HOLE * sizes.sum())[holes]
    radius = max(1, round(SMOOTH * np.sqrt(np.count_nonzero(cell) / np.pi)))
    cell = _open(cell | nucleus, radius) | nucleus
    pieces, count = ndimage.label(cell)
    holds_nucleus = np.zeros(count + 1, np.bool_)
    holds_nucleus[pieces[nucleus]] = True
    cell = fill_holes(holds_nucleus[pieces])
    return nucleus, cell


def _join_lobes(parts: IntArray, cells: IntArray, radius: float) -> IntArray:
    """Give lobes of one nucleus one label: cells that share a long border and are convex together."""
    area = np.bincount(cells.ravel())
    own = np.bincount(parts.ravel())
    _, border = _contacts(cells)
    boxes = ndimage.find_objects(cells)
    linked = border > JOIN_BORDER * np.sqrt(np.minimum.outer(area, area))
    pairs = np.argwhere(np.triu(linked)).tolist()
    pairs.sort(key=lambda ab: -border[ab[0], ab[1]])
    groups = [[a, b, *np.flatnonzero(linked[a] & linked[b]).tolist()] for a, b in pairs]
    root = np.arange(len(area), dtype=np.int32)
    for group in [g for g in groups if len(g) > 2] + pairs:
        roots = np.unique(root[group])
        members = np.flatnonzero(np.isin(root, roots))
        if len(roots) < 2 or own[members].sum() > JOIN_AREA * np.pi * radius**2:
            continue
        rows = [boxes[m - 1][0] for m in members]
        columns = [boxes[m - 1][1] for m in members]
        box = (
            slice(min(r.start for r in rows), max(r.stop for r in rows)),
            slice(min(c.start for c in columns), max(c.stop for c in columns)),
        )
        if solidity(np.isin(cells[box], members)) > JOIN_CONVEX:
            root[members] = roots[0]
    return root[parts]


def _single_parts(mask: BoolArray, channel: FloatArray, radius: float, smallest_px: float) -> IntArray:
    smooth = ndimage.gaussian_filter(channel, max(0.5, 0.06 * radius))
    cores = find_cores(smooth, mask, smallest_px)
    flooded = watershed(-channel, cores, mask=mask)  # type: ignore[no-untyped-call]
    return np.asarray(flooded, np.int32)


def _segment_tile(light: FloatArray, model: StainModel, radius: float) -> Segmentation:
    channel = nuclear_channel(light)
    mask = ndimage.binary_opening(channel > model.nuclear_threshold, iterations=1)
    smallest = SPECK * np.pi * radius**2
    parts = _single_parts(fill_holes(np.asarray(mask)), channel, radius, smallest)
    parts = _drop_specks(parts, smallest)
    if not parts.any():
        return _empty(light.shape)
    projected = light @ model.direction
    nearest = _find_nearest(parts)
    cells = _grow(projected, parts, _surroundings(parts, 2 * radius, nearest), model)
    parts = _join_lobes(parts, cells, _typical_radius(parts))
    cells = _grow(projected, parts, _surroundings(parts, 2 * radius, nearest), model)
    return _outline_cells(light, channel, cells, model.nuclear_threshold)


def _outline_cells(light: FloatArray, channel: FloatArray, cells: IntArray, threshold: float) -> Segmentation:
    nucleus, whole = np.zeros_like(cells), np.zeros_like(cells)
    count = 0
    for i, found in enumerate(ndimage.find_objects(cells), 1):
        if found is None:
            continue
        box = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in found)
        cell = cells[box] == i
        inner = _outline_nucleus(light[box], channel[box], cell, threshold)
        if not inner.any():
            continue
        inner, outer = _finish(inner, cell)
        free = cell | ((cells[box] == 0) & (whole[box] == 0))
        if not (inner & free).any():
            continue
        count += 1
        nucleus[box][inner & free] = count
        whole[box][outer & free] = count
    return Segmentation(nucleus, whole)


def _learn(rgb: NDArray[np.uint8], mpp: float | None) -> tuple[StainModel, float] | None:
    """Stain and typical nuclear radius in pixels; None where nothing is stained like a nucleus."""
    background = estimate_background(rgb)
    light = balance(_sample(rgb), background, 1.0)
    channel = nuclear_channel(light)
    threshold = _nuclear_threshold(channel)
    if np.ptp(channel) < MIN_CONTRAST or threshold < MIN_NUCLEAR:
        return None
    pieces, count = ndimage.label(ndimage.binary_opening(channel > threshold, iterations=1))
    if not count:
        return None
    radius = _typical_radius(pieces)
    if mpp:
        radius = min(max(radius, NUCLEAR_RADIUS_UM[0] / mpp), NUCLEAR_RADIUS_UM[1] / mpp)
    pieces = _drop_specks(pieces, SPECK * np.pi * radius**2)
    if not pieces.any():
        return None
    return fit_stain(background, light, threshold, _surroundings(pieces, 2 * radius)), radius


def _sample(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Evenly spread windows side by side in place of an image of more than one tile."""
    height, width = rgb.shape[:2]
    if height * width <= TILE_PX**2:
        return rgb
    rows = [slice(int(y), int(y) + SAMPLE_PX) for y in np.linspace(0, max(0, height - SAMPLE_PX), 3)]
    columns = [slice(int(x), int(x) + SAMPLE_PX) for x in np.linspace(0, max(0, width - SAMPLE_PX), 3)]
    return np.concatenate([np.concatenate([rgb[r, c] for c in columns], axis=1) for r in rows])


def segment_field(rgb: NDArray[np.uint8], mpp: float | None = None) -> Segmentation:
    """Return every nucleated cell of a field.

    Large fields are worked through in overlapping tiles; colours and sizes are learnt once a field.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: microns per pixel where known; size priors come from the image itself otherwise.
    """
    learnt = _learn(rgb, mpp)
    if learnt is None:
        return _empty(rgb.shape)
    model, radius = learnt
    height, width = rgb.shape[:2]
    nucleus, cell = np.zeros((height, width), np.int32), np.zeros((height, width), np.int32)
    count, margin = 0, round(min(6 * radius, TILE_PX / 4))
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            y, x = max(0, top - margin), max(0, left - margin)
            box = (slice(y, top + TILE_PX + margin), slice(x, left + TILE_PX + margin))
            tile = _segment_tile(balance(rgb[box], model.background, 1.0), model, radius)
            owned = np.zeros(tile.count + 1, np.int32)
            for i, found in enumerate(ndimage.find_objects(tile.nucleus), 1):
                middle = (y + (found[0].start + found[0].stop) / 2, x + (found[1].start + found[1].stop) / 2)
                if top <= middle[0] < top + TILE_PX and left <= middle[1] < left + TILE_PX:
                    count += 1
                    owned[i] = count
            free = cell[box] == 0
            nucleus[box] += np.where(free, owned[tile.nucleus], 0)
            cell[box] += np.where(free, owned[tile.cell], 0)
    return _renumber(nucleus, cell)


def _renumber(nucleus: IntArray, cell: IntArray) -> Segmentation:
    """Close gaps in the numbers, in place and by strips, for the sake of memory."""
    present = np.zeros(int(cell.max()) + 1, np.bool_)
    strips = [slice(top, top + TILE_PX) for top in range(0, len(cell), TILE_PX)]
    for strip in strips:
        present[np.unique(nucleus[strip])] = True
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    for strip in strips:
        nucleus[strip], cell[strip] = table[nucleus[strip]], table[cell[strip]]
    return Segmentation(nucleus, cell)


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
    smallest = SPECK * np.pi * (NUCLEAR_RADIUS_UM[0] / mpp) ** 2 if mpp else 0.002 * size**2
    radius = _typical_radius(np.asarray(ndimage.label(mask)[0], np.int32))
    parts = _single_parts(mask, channel, radius, smallest)
    if not parts.any():
        parts = np.asarray(ndimage.label(mask)[0], np.int32)
    parts = _drop_specks(parts, min(smallest, np.bincount(parts.ravel())[1:].max()))
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
