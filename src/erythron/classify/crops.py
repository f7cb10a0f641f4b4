"""Square crops of cells with their masks, at one scale: padded, never stretched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.outline import BoxedMask, CellOutline
from erythron.read.light import BACKGROUND_LEVEL

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class CellCrops:
    """Crops of N cells.

    Attributes:
        pixels: (N, S, S, 3) uint8, each channel relative to the empty smear, which is 255.
        masks: (N, S, S, 2) uint8; nucleus and whole cell, 255 inside, graded at the border.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]


@dataclass(frozen=True)
class CropGeometry:
    """Size of a crop.

    Attributes:
        size_px: side of the crop.
        mpp: microns per pixel of the crop.
    """

    size_px: int
    mpp: float


def cut_cells(
    light: NDArray[np.uint8],
    outlines: Sequence[CellOutline | None],
    centres: Sequence[tuple[float, float]],
    mpp: float,
    geometry: CropGeometry,
) -> CellCrops:
    """Cut one crop around each cell, pixels and masks by the same geometry.

    Args:
        light: (H, W, 3) uint8 as :func:`balance_light` returns it.
        outlines: the cells; None where there is none, whose masks are empty.
        centres: (x, y) of each in pixels, 0 being the centre of the first pixel.
        mpp: microns per pixel of the image.
        geometry: size and scale of the crops.
    """
    size = geometry.size_px
    pixels = np.empty((len(centres), size, size, 3), np.uint8)
    masks = np.zeros((len(centres), size, size, 2), np.uint8)
    half = size * geometry.mpp / mpp / 2
    # The filter reaches over the crop's border, so that a crop is the middle of every larger one.
    reach = half + max(geometry.mpp / mpp, 1.0)
    for i, ((x, y), outline) in enumerate(zip(centres, outlines, strict=True)):
        left, top = int(np.floor(x + 0.5 - reach)), int(np.floor(y + 0.5 - reach))
        right, bottom = int(np.ceil(x + 0.5 + reach)), int(np.ceil(y + 0.5 + reach))
        window = (left, top, right, bottom)
        box = (x + 0.5 - half - left, y + 0.5 - half - top, x + 0.5 + half - left, y + 0.5 + half - top)
        pixels[i] = _resize(cut_window(light, window, BACKGROUND_LEVEL), size, box)
        if outline is None:
            continue
        for k, mask in enumerate((outline.nucleus, outline.cell)):
            inside = cut_mask(BoxedMask(outline.left, outline.top, mask), window)
            masks[i, ..., k] = _resize(inside.astype(np.uint8) * 255, size, box)
    return CellCrops(pixels, masks)


def cut_window(image: NDArray[Pixel], window: tuple[int, int, int, int], fill: int) -> NDArray[Pixel]:
    """Return a part of an image that may reach over its border.

    Args:
        image: (H, W) or (H, W, C).
        window: left, top, right and bottom edge in pixels; right and bottom are the first outside.
        fill: value beyond the border.
    """
    left, top, right, bottom = window
    height, width = image.shape[:2]
    out = np.full((bottom - top, right - left, *image.shape[2:]), fill, image.dtype)
    x0, x1 = max(left, 0), min(right, width)
    y0, y1 = max(top, 0), min(bottom, height)
    if x0 < x1 and y0 < y1:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return out


def cut_mask(mask: BoxedMask, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return what of a mask lies in a window of its image, (h, w) bool.

    Args:
        mask: of a cell or nucleus.
        window: left, top, right and bottom edge in pixels; right and bottom are the first outside.
    """
    left, top, right, bottom = window
    return cut_window(mask.mask, (left - mask.left, top - mask.top, right - mask.left, bottom - mask.top), 0)


def _resize(image: NDArray[np.uint8], size: int, box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    # Pillow widens the filter when it shrinks, so that fine chromatin does not alias.
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box))
