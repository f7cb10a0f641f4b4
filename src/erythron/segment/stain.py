"""Colours relative to the empty smear, and the channel in which nuclei stand out.

Both adapt to the image: nothing here knows a stain, a scanner or a data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.read.light import BACKGROUND_LEVEL

FloatArray = NDArray[np.float32]

HISTOGRAM_BINS = 128
"""Levels that Otsu's threshold is chosen from: finer than any use of it needs.

``benchmarks/constants.py`` measures it.
"""

MIN_CONTRAST = 0.08
"""Range of light, over that of the empty smear, under which an image is blank.

It refuses empty pictures; images with a cell are far above it, as ``benchmarks/constants.py`` shows.
"""

MIN_LIGHT = 0.02
"""Light over that of the empty smear by which is divided at least: darker pixels are mostly noise."""

BLACK = 0.06
"""Light in the brightest channel up to which a pixel is out of the field of view; no stain is so dark."""


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


def is_blank(light: NDArray[np.uint8]) -> bool:
    """Return whether a balanced image, (H, W, 3) uint8, has too little contrast to show anything."""
    extrema = np.asarray(Image.fromarray(light).getextrema())
    return bool(np.ptp(extrema, axis=1).max() < MIN_CONTRAST * BACKGROUND_LEVEL)


def balance(rgb: NDArray[np.uint8], background: FloatArray, sigma_px: float) -> FloatArray:
    """Return transmitted light, (H, W, 3) float32 in 0..1: the image over its background, smoothed."""
    light = np.minimum(rgb.astype(np.float32) / background, 1)
    return np.asarray(ndimage.gaussian_filter(light, (sigma_px, sigma_px, 0)), dtype=np.float32)


def nuclear_channel(light: FloatArray) -> FloatArray:
    """Return the share of blue light that has no green beside it, 1 - green / blue, (H, W) float32.

    Nuclei are high whatever their darkness (Romanowsky stains pass blue and hold back green), cytoplasm is
    middling, background and red cells are near 0 or below. Black, as out of the field, is 0.
    """
    red, green, blue = light[..., 0], light[..., 1], light[..., 2]
    blueness = 1 - green / np.maximum(blue, MIN_LIGHT)
    brightest = np.maximum(np.maximum(red, green), blue)
    return np.where(brightest > BLACK, blueness, np.float32(0))


def stain_of(light: NDArray[np.uint8]) -> FloatArray:
    """Return the nuclear channel of balanced light, (H, W, 3) uint8: (H, W) float32."""
    return nuclear_channel(np.divide(light, BACKGROUND_LEVEL, dtype=np.float32))
