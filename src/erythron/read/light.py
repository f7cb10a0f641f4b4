"""An image relative to the empty smear in it, so that scanners and lamps differ less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BACKGROUND_LEVEL = 255
"""What the empty smear becomes in a balanced image, and what padding is filled with."""


def estimate_background(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
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


def balance_light(rgb: NDArray[np.uint8], background: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the image relative to the empty smear, (H, W, 3) uint8, brighter pixels clipped to 255.

    It takes lamp, camera balance and the tint of the glass out of the colours, so that scanners differ less.
    """
    levels = np.arange(256, dtype=np.uint8)[:, None]
    table = np.minimum(levels * (BACKGROUND_LEVEL / background), 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(rgb).point(table.T.ravel().tolist()))
