"""Pixels to stain: background colour out, and one channel in which nuclei stand out from red cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

HISTOGRAM_BINS = 128


def estimate_background(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the colour of the empty smear, (3,) float32 in 1..255: the median of the brightest twentieth."""
    step = max(1, int(np.sqrt(rgb.shape[0] * rgb.shape[1] / 250_000)))
    sample = rgb[::step, ::step].reshape(-1, 3)
    brightness = sample.sum(axis=1, dtype=np.int32)
    bright = sample[brightness >= np.percentile(brightness, 95)]
    return np.maximum(np.median(bright, axis=0), 1).astype(np.float32)


def stain_channel(
    rgb: NDArray[np.uint8], background: NDArray[np.float32], sigma_px: float
) -> NDArray[np.float32]:
    """Return saturation minus green of the image divided by its background, (H, W) float32, smoothed.

    Nuclei are high (dark in green, saturated), red cells and pale cytoplasm middling, background low.
    """
    balanced = np.minimum(rgb / background, 1).astype(np.float32)
    high = balanced.max(axis=2)
    saturation = 1 - balanced.min(axis=2) / np.maximum(high, 1 / 255)
    return np.asarray(ndimage.gaussian_filter(saturation - balanced[..., 1], sigma_px), dtype=np.float32)


def three_class_thresholds(channel: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the two thresholds of a three-class Otsu, or None where the channel holds fewer than three values.

    Otsu, IEEE Trans Syst Man Cybern 1979, doi 10.1109/TSMC.1979.4310076.
    """
    low, high = float(channel.min()), float(channel.max())
    if high - low < 0.05:
        return None
    counts, edges = np.histogram(channel, bins=HISTOGRAM_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.concatenate([[0.0], np.cumsum(counts / counts.sum())])
    first = np.concatenate([[0.0], np.cumsum(counts / counts.sum() * centres)])
    w = weight[None, :] - weight[:, None]
    s = first[None, :] - first[:, None]
    between = np.where(w > 0, s * s / np.where(w > 0, w, 1), 0.0)
    total = between[0, :, None] + between + between[:, -1][None, :]
    total[np.tril_indices(len(total))] = -np.inf
    i, j = np.unravel_index(int(np.argmax(total)), total.shape)
    return float(edges[i]), float(edges[j])
