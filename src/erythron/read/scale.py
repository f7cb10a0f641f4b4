"""Microns per pixel as image files state them, and the rule that tells a scale from a screen's dpi."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from PIL import Image

PLAUSIBLE_MPP = (0.02, 5.0)
"""What a light microscope's camera can deliver; 72, 96 and 300 dpi are 353, 265 and 85 um/px."""

_UM_PER_UNIT = {
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
_UM_PER_TIFF_UNIT: dict[float, float] = {2: 25_400.0, 3: 10_000.0}
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_SAME_WITHIN = 0.02


def accept_mpp(x: float | None, y: float | None = None) -> float | None:
    """Return ``x`` if it can be a microscope's scale and the pixels are square, else None.

    >>> accept_mpp(0.1), accept_mpp(25_400 / 300), accept_mpp(0.1, 0.2)
    (0.1, None, None)
    """
    if x is None or not PLAUSIBLE_MPP[0] <= x <= PLAUSIBLE_MPP[1]:
        return None
    if y is not None and not abs(x - y) <= _SAME_WITHIN * x:
        return None
    return x


def find_mpp_in_description(
    description: str,
    resolution: tuple[float | None, float | None] = (None, None),
    size_px: tuple[int, int] | None = None,
) -> float | None:
    """Return the scale that a TIFF's ImageDescription states.

    Understood are OME-XML (``PhysicalSizeX`` and its unit, of the image of that size where it describes
    several), ImageJ (``unit=``, with the pixels per unit in the tags of the resolution) and Aperio
    (``MPP = ``).

    Args:
        description: text of the tag ImageDescription.
        resolution: values of the tags XResolution and YResolution.
        size_px: width and height of the image that is read.
    """
    if "<OME" in description:
        pixels = _find_ome_pixels(description, size_px)
        return accept_mpp(_ome_size(pixels, "X"), _ome_size(pixels, "Y"))
    if description.startswith("ImageJ="):
        unit = re.search(r"^unit=(.+)$", description, re.MULTILINE)
        um = _UM_PER_UNIT.get(_clean_unit(unit[1])) if unit else None
        x, y = resolution
        return accept_mpp(um / x, um / y if y else None) if um and x else None
    aperio = re.search(r"\bMPP\s*=\s*([0-9.]+)", description)
    return accept_mpp(_to_float(aperio[1])) if aperio else None


def _find_ome_pixels(xml: str, size_px: tuple[int, int] | None) -> str:
    """Return the element that describes the image of a size, else the first; nothing where there is none."""
    # Without "<" in it: a text of many beginnings would be searched to its end from each of them.
    found: list[str] = re.findall(r"<(?:\w{1,64}:)?Pixels\b[^<>]*>", xml)
    sizes = [tuple(re.findall(rf'\bSize{axis}\s*=\s*["\'](\d+)', one) for axis in "XY") for one in found]
    wanted = None if size_px is None else tuple([str(side)] for side in size_px)
    return next((one for one, size in zip(found, sizes, strict=True) if size == wanted), "".join(found[:1]))


def _ome_size(pixels: str, axis: str) -> float | None:
    size = re.search(rf'\bPhysicalSize{axis}\s*=\s*["\']([^"\']+)', pixels)
    unit = re.search(rf'\bPhysicalSize{axis}Unit\s*=\s*["\']([^"\']+)', pixels)
    value = _to_float(size[1]) if size else None
    um = _UM_PER_UNIT.get(_clean_unit(unit[1])) if unit else 1.0  # the schema's default is um
    return value * um if value is not None and um is not None else None


def _clean_unit(text: str) -> str:
    # ImageJ writes the micro sign as the six characters \u00B5.
    return html.unescape(text).strip().replace("\\u00B5", "µ").lower()


def _to_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def find_mpp_in_tags(tags: Mapping[int, object]) -> float | None:
    """Return the scale that the resolution tags of TIFF or EXIF state.

    Args:
        tags: values by tag number; X and YResolution as pixels per unit.
    """
    um = _UM_PER_TIFF_UNIT.get(as_number(tags.get(_RESOLUTION_UNIT)) or 0)
    x, y = (as_number(tags.get(t)) for t in (_X_RESOLUTION, _Y_RESOLUTION))
    if um is None or not x:
        return None
    return accept_mpp(um / x, um / y if y else None)


def find_mpp_in_image(image: Image.Image) -> float | None:
    """Return the scale of an opened JPEG, PNG or BMP: JFIF density, pHYs or pixels per metre, then EXIF."""
    dpi = image.info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2:
        x, y = map(as_number, dpi)
        mpp = accept_mpp(25_400 / x, 25_400 / y) if x and y else None
        if mpp is not None:
            return mpp
    return find_mpp_in_tags(image.getexif())


def as_number(value: object) -> float | None:
    """Return a tag's value as a float, None where it is no number (text, a fraction with 0 below)."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
