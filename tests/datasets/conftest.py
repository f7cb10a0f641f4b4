"""Small sets on disk, laid out as the sources lay them out, and drawn pieces of smear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.datasets.labelled import FoundCell, make_set


def save_flat(path: Path, value: int) -> Path:
    """Save a 4x4 image of one grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)
    return path


def save(path: Path, rgb: NDArray[np.uint8], **options: object) -> Path:
    """Save an image under folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, **options)  # type: ignore[arg-type]
    return path


def draw_smear(seed: int, height: int = 140, width: int = 140) -> NDArray[np.uint8]:
    """Draw blobs of many sizes on a light ground: texture that no other seed has."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(height, width))
    texture = sum(ndimage.gaussian_filter(noise, s) * s for s in (1.5, 3.0, 6.0))
    grey = np.clip(200 + 45 * texture, 0, 255)
    return np.stack([grey, grey * 0.9, np.minimum(grey * 1.05, 255)], 2).astype(np.uint8)


def make_rows(folder: Path, count: int = 6) -> pl.DataFrame:
    """Return an unsplit manifest of ``count`` flat images, two to a group."""
    found = [
        FoundCell(
            save_flat(folder / f"cell_{i}.png", 6 * i),
            "monocyte" if i % 4 < 2 else "lymphocyte",
            f"slide_{i // 2}",
        )
        for i in range(count)
    ]
    return make_set("drawn", found).rows
