"""Small sets on disk, laid out as the sources lay them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from erythron.data.labelled import FoundCell, make_set


def save_flat(path: Path, value: int) -> Path:
    """Save a 4x4 image of one grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)
    return path


def make_rows(folder: Path, count: int = 6) -> pl.DataFrame:
    """Return an unsplit manifest of ``count`` flat images, two to a group."""
    found = [
        FoundCell(
            save_flat(folder / f"cell_{i}.png", 10 * i),
            "monocyte" if i % 4 < 2 else "lymphocyte",
            f"slide_{i // 2}",
        )
        for i in range(count)
    ]
    return make_set("drawn", found).rows
