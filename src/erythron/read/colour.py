"""Any colour model that a supported file can hold, to sRGB uint8."""

from __future__ import annotations

import io

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
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        # Converting sRGB to sRGB would only add rounding.
        if (
            _ICC_SPACES.get(image.mode) != space
            or "srgb" in (source.profile.profile_description or "").lower()
        ):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image
