"""Small slides in the forms of scanners and programs, written for the tests of their readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

TILE = 64
APERIO = "Aperio Image Library v12.0.15\n{w}x{h} [0,0 {w}x{h}] (64x64) JPEG/RGB Q=70|AppMag = 40|MPP = 0.2500"


def make_pixels(height: int = 300, width: int = 421, seed: int = 3) -> NDArray[np.uint8]:
    """Return smooth colours, which lossy codecs keep."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (6, 6, 0), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 200 + 40).round().astype(np.uint8)


def shrink(rgb: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    height, width = (n // step for n in rgb.shape[:2])
    blocks = rgb[: height * step, : width * step].reshape(height, step, width, step, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def write_aperio(path: Path, rgb: NDArray[np.uint8], compression: str = "jpeg") -> Path:
    """Write base, thumbnail in strips, smaller level, label and macro, as Aperio's scanners do."""
    height, width = rgb.shape[:2]
    text = APERIO.format(w=width, h=height)
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    if compression == "jpeg":
        options["compressionargs"] = {"level": 95}
    tiled = {**options, "tile": (TILE, TILE), "compression": compression}
    with tifffile.TiffWriter(path) as writer:
        writer.write(rgb, description=text, **tiled)
        writer.write(shrink(rgb, 3), description=text, photometric="rgb", metadata=None)
        writer.write(shrink(rgb, 4), description=text, subfiletype=1, **tiled)
        label = np.full((90, 120, 3), 7, np.uint8)
        writer.write(
            label, description="Aperio\nlabel 120x90", photometric="rgb", subfiletype=1, metadata=None
        )
        writer.write(
            label, description="Aperio\nmacro 120x90", photometric="rgb", subfiletype=9, metadata=None
        )
    return path


def write_ome(path: Path, rgb: NDArray[np.uint8], **options: Any) -> Path:
    """Write OME-TIFF, its smaller level in a SubIFD."""
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": 0.23,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.23,
        "PhysicalSizeYUnit": "µm",
    }
    tiled = {"photometric": "rgb", "tile": (TILE, TILE), **options}
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as writer:
        writer.write(rgb, subifds=1, metadata=metadata, **tiled)
        writer.write(shrink(rgb, 4), subfiletype=1, **tiled)
    return path
