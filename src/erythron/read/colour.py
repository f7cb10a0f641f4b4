"""Any colour model that a supported file can hold, to sRGB uint8."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

_WHITE = (255, 255, 255, 255)
_ICC_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def convert_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) uint8 sRGB, upright.

    Palettes are looked up, transparency is laid on white (a smear's background) unless every pixel would
    vanish, the EXIF orientation is
    applied, and a valid ICC profile is converted to sRGB. A profile that is broken, or made for another
    colour model, is left out of account, as viewers do. Grey samples of 16 bits keep their upper 8.

    Raises:
        ValueError: the colour model has no conversion.
    """
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    flat = _flatten(upright)
    if isinstance(profile, bytes) and profile:
        flat = _apply_profile(flat, profile)
    return np.asarray(flat.convert("RGB"))


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("grey samples of 32 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() == (
            0,
            0,
        ):  # a channel that nobody filled: on white nothing would be left
            return layer.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")
    if image.mode in ("P", "PA", "1", "YCbCr"):
        return image.convert("RGB")
    return image


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    change = _make_transform(image.mode, profile)
    if change is None:
        return image
    try:
        return ImageCms.applyTransform(image, change) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def make_profile_change(profile: bytes | None) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
    """Return what takes (H, W, 3) uint8 in the colours of an ICC profile to sRGB.

    None where nothing is to be done: there is no profile, it is sRGB, broken, or of another colour model.
    """
    change = _make_transform("RGB", profile) if profile else None
    if change is None:
        return None

    def apply(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = Image.fromarray(np.ascontiguousarray(rgb))
        return np.asarray(ImageCms.applyTransform(image, change) or image)

    return apply


def _make_transform(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        # Converting sRGB to sRGB would only add rounding.
        if _ICC_SPACES.get(mode) != space or "srgb" in (source.profile.profile_description or "").lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
