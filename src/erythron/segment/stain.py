"""Colours relative to the empty smear, and the channel in which nuclei stand out.

Both adapt to the image: nothing here knows a stain, a scanner or a data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

FloatArray = NDArray[np.float32]

HISTOGRAM_BINS = 128
MIN_CONTRAST = 0.08
MIN_LIGHT = 0.02
BLACK = 0.06

BACKGROUND_LEVEL = 255
"""What the empty smear becomes in a balanced image, and what padding is filled with."""


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


def estimate_background(rgb: NDArray[np.uint8]) -> FloatArray:
    """Return the colour of the empty smear, (3,) float32 in 1..255: the median of the brightest twentieth."""
    step = max(1, int(np.sqrt(rgb.shape[0] * rgb.shape[1] / 250_000)))
    sample = rgb[::step, ::step].reshape(-1, 3)
    # Channel by channel: a sum over the short last axis takes eight times as long.
    red, green, blue = sample.T
    brightness = red.astype(np.int64) + green + blue
    # The 95th percentile by counting levels: sorting takes several times as long.
    rank = np.ceil(0.95 * (len(brightness) - 1))
    level = np.searchsorted(np.cumsum(np.bincount(brightness)), rank, side="right")
    bright = sample[brightness >= level]
    return np.asarray(np.maximum(np.median(bright, axis=0), 1), dtype=np.float32)


def is_blank(light: NDArray[np.uint8]) -> bool:
    """Return whether a balanced image, (H, W, 3) uint8, has too little contrast to show anything."""
    extrema = np.asarray(Image.fromarray(light).getextrema())
    return bool(np.ptp(extrema, axis=1).max() < MIN_CONTRAST * BACKGROUND_LEVEL)


def balance_light(rgb: NDArray[np.uint8], background: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the image relative to the empty smear, (H, W, 3) uint8, brighter pixels clipped to 255.

    It takes lamp, camera balance and the tint of the glass out of the colours, so that scanners differ less.
    """
    levels = np.arange(256, dtype=np.uint8)[:, None]
    table = np.minimum(levels * (BACKGROUND_LEVEL / background), 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(rgb).point(table.T.ravel().tolist()))


def balance(rgb: NDArray[np.uint8], background: FloatArray, sigma_px: float) -> FloatArray:
    """Return transmitted light, (H, W, 3) float32 in 0..1: the image over its background, smoothed."""
    light = np.minimum(rgb.astype(np.float32) / background, 1)
    return np.asarray(ndimage.gaussian_filter(light, (sigma_px, sigma_px, 0)), dtype=np.float32)


def nuclear_channel(light: FloatArray) -> FloatArray:
    """Return the share of blue light that has no green beside it, 1 - green / blue, (H, W) float32.

    Nuclei are high whatever their darkness (Romanowsky stains pass blue and hold back green), cytoplasm is
    middling, background and red cells are near 0 or below. Black, as out of the field, is 0.
    """
    red, green, blue = np.moveaxis(light, 2, 0)
    blueness = 1 - green / np.maximum(blue, MIN_LIGHT)
    brightest = np.maximum(np.maximum(red, green), blue)
    return np.where(brightest > BLACK, blueness, 0).astype(np.float32)
