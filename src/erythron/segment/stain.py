"""Pixels to stain: a channel in which nuclei stand out, and one in which whole nucleated cells do.

Both adapt to the image: nothing here knows a stain, a scanner or a data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

HISTOGRAM_BINS = 128
FIT_PIXELS = 60_000
MIN_CONTRAST = 0.08
MIN_NUCLEAR = 0.15
MIN_LIGHT = 0.02
BLACK = 0.06
MIN_CLASS_PIXELS = 20
NEAR, FAR = 0.6, 1.2
RED_CELL_SHARE = 0.02
RED_CELL_BLUE = 0.3
RED_CELL_WEIGHT = 4.0
NUCLEUS_WEIGHT = 2.0
COLOUR_NOISE = 0.03
CELL_LEVEL = 0.2


def otsu(values: FloatArray) -> float:
    """Return the two-class threshold (Otsu 1979, doi 10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    return float(edges[1 + int(np.argmax(below * above * (mean_below - mean_above) ** 2))])


def otsu_three(values: FloatArray) -> tuple[float, float]:
    """Return the two thresholds of a three-class Otsu."""
    counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
    share = counts / max(counts.sum(), 1)
    weight = np.concatenate([[0.0], np.cumsum(share)])
    moment = np.concatenate([[0.0], np.cumsum(share * (edges[:-1] + edges[1:]) / 2)])
    width = weight[None, :] - weight[:, None]
    mass = moment[None, :] - moment[:, None]
    between = np.where(width > 0, mass * mass / np.where(width > 0, width, 1), 0.0)
    total = between[0, :, None] + between + between[:, -1][None, :]
    total[np.tril_indices(len(total))] = -np.inf
    low, high = np.unravel_index(int(np.argmax(total)), total.shape)
    return float(edges[low]), float(edges[high])


def estimate_background(rgb: NDArray[np.uint8]) -> FloatArray:
    """Return the colour of the empty smear, (3,) float32 in 1..255: the median of the brightest twentieth."""
    step = max(1, int(np.sqrt(rgb.shape[0] * rgb.shape[1] / 250_000)))
    sample = rgb[::step, ::step].reshape(-1, 3)
    brightness = sample.sum(axis=1, dtype=np.int32)
    bright = sample[brightness >= np.percentile(brightness, 95)]
    return np.asarray(np.maximum(np.median(bright, axis=0), 1), dtype=np.float32)


def balance(rgb: NDArray[np.uint8], background: FloatArray, sigma_px: float) -> FloatArray:
    """Return transmitted light, (H, W, 3) float32 in 0..1: the image over its background, smoothed."""
    light = np.minimum(rgb.astype(np.float32) / background, 1)
    return np.asarray(ndimage.gaussian_filter(light, (sigma_px, sigma_px, 0)), dtype=np.float32)


def nuclear_channel(light: FloatArray) -> FloatArray:
    """Return the share of blue light that has no green beside it, 1 - green / blue, (H, W) float32.

    Nuclei are high whatever their darkness (Romanowsky stains pass blue and hold back green), cytoplasm is
    middling, background and red cells are near 0 or below. Black, as out of the field, is 0.
    """
    blueness = 1 - light[..., 1] / np.maximum(light[..., 2], MIN_LIGHT)
    return np.where(light.max(axis=2) > BLACK, blueness, 0).astype(np.float32)


@dataclass(frozen=True)
class StainModel:
    """What an image's own pixels say of its colours.

    Attributes:
        background: (3,) float32, colour of the empty smear.
        nuclear_threshold: nuclei lie above it in :func:`nuclear_channel`.
        direction: (3,) float32; light projected on it is high in nucleated cells, low elsewhere.
        cell_threshold: cells lie above it in the projection.
        cell_contrast: projection of nuclei less that of what surrounds cells.
    """

    background: FloatArray
    nuclear_threshold: float
    direction: FloatArray
    cell_threshold: float
    cell_contrast: float


@dataclass(frozen=True)
class Surroundings:
    """Where each pixel stands to its nearest nucleus.

    Attributes:
        nuclei: (H, W) bool.
        distance: (H, W) float32, distance to the nearest nucleus in radii of that nucleus.
    """

    nuclei: BoolArray
    distance: FloatArray


def _moments(groups: list[tuple[FloatArray, float]]) -> tuple[FloatArray, FloatArray]:
    filled = [(g, w) for g, w in groups if len(g) and w > 0]
    used = [(g, w) for g, w in filled if len(g) > MIN_CLASS_PIXELS] or filled
    total = sum(w for _, w in used)
    mean = sum(w * g.mean(axis=0, dtype=np.float64) for g, w in used) / total
    scatter = sum(w * ((g - mean).T @ (g - mean)) / len(g) for g, w in used) / total
    return np.asarray(mean, np.float32), np.asarray(scatter, np.float32)


def fit_stain(
    background: FloatArray, light: FloatArray, threshold: float, around: Surroundings
) -> StainModel:
    """Find the colour direction that parts nucleated cells from red cells and background in this image.

    A linear discriminant (Fisher 1936, doi 10.1111/j.1469-1809.1936.tb02137.x) between nuclei with the dark
    pixels close to them, and background with the dark pixels far from any nucleus, most of them red cells.
    """
    step = 1 if around.nuclei.size < 2 * FIT_PIXELS else around.nuclei.size // FIT_PIXELS
    colour = light.reshape(-1, 3)[::step]
    nucleus = around.nuclei.ravel()[::step]
    distance = around.distance.ravel()[::step]
    brightness = colour.sum(axis=1)
    outside = ~nucleus
    if np.count_nonzero(outside) <= MIN_CLASS_PIXELS:
        outside = brightness >= np.median(brightness)
    dark = outside & (brightness < otsu(brightness[outside]))
    empty = outside & ~dark & (distance > NEAR / 2)
    if np.count_nonzero(empty) <= MIN_CLASS_PIXELS:
        empty = outside & ~dark if np.any(outside & ~dark) else brightness == brightness.max()
    blue = colour[:, 2] - colour[:, 1]
    near, far = dark & (distance < NEAR), dark & (distance > FAR)
    nucleus = nucleus if nucleus.any() else brightness == brightness.min()
    far &= blue < RED_CELL_BLUE * np.median(blue[nucleus])
    presence = float(np.clip(far.mean() / RED_CELL_SHARE - 0.5, 0, 1))
    if np.count_nonzero(far) <= MIN_CLASS_PIXELS:
        presence = 0.0
    inside_mean, inside_scatter = _moments([(colour[nucleus], NUCLEUS_WEIGHT), (colour[near], 1.0)])
    outside_mean, outside_scatter = _moments(
        [(colour[far], RED_CELL_WEIGHT * presence), (colour[empty], 1.0)]
    )
    within = inside_scatter + outside_scatter + COLOUR_NOISE**2 * np.eye(3, dtype=np.float32)
    direction = np.linalg.solve(within, inside_mean - outside_mean)
    direction = (direction / np.abs(direction).sum()).astype(np.float32)
    projected = colour @ direction
    level = float(np.median(projected[empty]))
    if presence > 0:
        level += presence * max(0.0, float(np.median(projected[far])) - level)
    contrast = float(np.median(projected[nucleus])) - level
    beside = outside & (distance < 1.5)
    cell = level + CELL_LEVEL * contrast
    if np.count_nonzero(beside) > MIN_CLASS_PIXELS:
        valley = otsu(projected[beside])
        cell = max(valley, cell) if presence > 0 else valley
    return StainModel(background, threshold, direction, cell, contrast)
