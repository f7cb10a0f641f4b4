"""Images of one synthetic cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def make_cell(side: tuple[int, int], radius: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a cell in the middle of an image, and its mask; no two seeds have the same form.

    The outlines of nucleus and cell are alike, the cell's being 1.4 times as large.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: side[0], : side[1]]
    y, x = y - side[0] / 2, x - side[1] / 2
    angle, waves = np.arctan2(y, x), (2, 3, 4, 5)
    # Each seed has waves of its own, so that no image is another one turned.
    form = 1 + sum(rng.uniform(-0.06, 0.06) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in waves)
    away = np.hypot(y, x) / (form * rng.uniform(0.9, 1))
    image = np.full((*side, 3), (238, 230, 215), float)
    image[away < radius * 1.4] = (175, 165, 205)
    image[away < radius] = (90, 40, 130)
    mask = np.where(away < radius, 255, np.where(away < radius * 1.4, 128, 0)).astype(np.uint8)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8), mask


def save(path: Path, image: NDArray[np.uint8]) -> None:
    """Save an image in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
