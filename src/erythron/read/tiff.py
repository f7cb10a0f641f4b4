"""The full-resolution pages of a TIFF: which they are, how they become one image, which scale they state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from erythron.read.scale import as_number, find_mpp_in_description, find_mpp_in_tags

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _SEPARATED = 0, 1, 2, 5
_ORIENTATION, _MAX_SAMPLE_VALUE, _ICC_PROFILE = 274, 281, 34675
_X_RESOLUTION, _Y_RESOLUTION = 282, 283
_CAMERA_BITS = (8, 10, 12, 14, 16)


MAX_PAGES = 1000
"""Pages of a TIFF: levels, labels and planes; a directory that points at itself has no end."""

MAX_PLANES = 64
"""Planes of a stack that are decoded to find the sharpest."""


def find_planes(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Return the pages of the most pixels, in order: no lower level of a pyramid, thumbnail or label.

    Pages of that size which hold other samples than the first are masks or the like, and left out.

    Raises:
        ValueError: the directory of pages points at itself, or there are over ``MAX_PAGES``.
    """
    pages: list[tifffile.TiffPage] = []
    offsets: set[int] = set()
    for entry in tiff.pages:
        if entry.offset in offsets:
            raise ValueError("its directory of pages points at itself")
        if len(pages) == MAX_PAGES:
            raise ValueError(f"it has over {MAX_PAGES} pages")
        offsets.add(entry.offset)
        pages.append(entry.aspage())
    base = max(pages, key=lambda page: page.imagewidth * page.imagelength)
    return [page for page in pages if _describe(page) == _describe(base)]


def _describe(page: tifffile.TiffPage) -> tuple[int, ...]:
    return (page.imagewidth, page.imagelength, page.samplesperpixel, page.bitspersample, page.photometric)


def decode_planes(
    file: BinaryIO, tiff: tifffile.TiffFile, planes: Sequence[tifffile.TiffPage]
) -> tuple[Image.Image, str]:
    """Return the image that the planes of a TIFF are, and what is to be said of how it was made.

    One plane is the image. Three grey planes are red, green and blue, as ImageJ and OME-TIFF store colours.
    Of several planes in colour, the focus of a stack, the sharpest is taken.

    Args:
        file: the file.
        tiff: the same, opened.
        planes: one or more pages of one size and kind.

    Raises:
        ValueError: there are several grey planes but not three, or over ``MAX_PLANES`` planes; or as of
            :func:`decode_page`.
    """
    if len(planes) == 1:
        return decode_page(file, tiff, planes[0]), ""
    if len(planes) > MAX_PLANES:
        raise ValueError(f"it has {len(planes)} planes, more than {MAX_PLANES}; save the sharpest one alone")
    if planes[0].samplesperpixel == 1 and planes[0].photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK):
        if len(planes) != 3:
            raise ValueError(f"it has {len(planes)} grey planes, of which no colours can be made")
        channels = [decode_page(file, tiff, plane).convert("L") for plane in planes]
        return Image.merge("RGB", channels), "three grey planes of the file were read as red, green and blue"
    best, sharpest, number = None, -1.0, 0
    for n, plane in enumerate(planes, start=1):
        image = decode_page(file, tiff, plane)
        sharpness = measure_sharpness(image)
        if sharpness > sharpest:
            best, sharpest, number = image, sharpness, n
    if best is None:
        raise ValueError("no plane has pixels")
    return best, f"of {len(planes)} planes in the file the sharpest, number {number}, was read"


def measure_sharpness(image: Image.Image) -> float:
    """Return the mean squared Laplacian of the grey image."""
    grey = np.asarray(image.convert("L"), np.float32)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.mean(laplacian**2))


def find_tiff_mpp(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    """Return the scale from the page's or the first page's description, else from its resolution tags."""
    tags = {t.code: _divide(t.value) for t in page.tags}
    x, y = (as_number(tags.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    # A writer of OME-XML or ImageJ puts the description on the first page only.
    for description in (page.description, tiff.pages[0].aspage().description):
        mpp = find_mpp_in_description(description, (x, y), (page.imagewidth, page.imagelength))
        if mpp is not None:
            return mpp
        if description.startswith("ImageJ="):
            return None  # its resolution tags count in its own unit, which was not a plausible one
    return find_mpp_in_tags(tags)


def _divide(value: object) -> object:
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0] / value[1] if value[1] else None
    return value


def decode_page(file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Image.Image:
    """Decode one page upright, samples of more than 8 bits scaled to 8.

    Pillow decodes 8-bit pages, as it brings the codecs along; it would drop the lower half of others.
    Samples of 9 to 16 bits keep the upper 8 of their significant bits. These are the OME-XML's
    SignificantBits, else what the tag MaxSampleValue needs, else (cameras of 10, 12 and 14 bits save 16-bit
    files without a word) the fewest of 8, 10, 12, 14 and 16 that hold the page's brightest sample, as the
    background of a brightfield image fills the camera's range.

    Raises:
        ValueError: pixel data end early, or the samples or their compression are not supported.
    """
    size = file.seek(0, 2)
    if any(
        start + length > size for start, length in zip(page.dataoffsets, page.databytecounts, strict=False)
    ):
        raise ValueError("pixel data end early")
    if not page.dataoffsets or not all(page.databytecounts):
        raise ValueError("pixel data are missing")
    if page.bitspersample <= 8:
        file.seek(0)
        image = TiffImageFile(file)
        image.seek(page.index)
        image.load()
        return image
    return _decode_deep_page(tiff, page)


def _decode_deep_page(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Image.Image:
    if page.dtype is None or page.dtype.kind != "u" or page.dtype.itemsize != 2:
        raise ValueError(f"samples are {page.dtype}, neither 8 nor 16 bits")
    mode = _find_mode(page)
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"axes are {page.axes}, not those of one image")
    samples = np.asarray(page.asarray())
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    bits = find_significant_bits(tiff, page, int(samples.max()))
    scaled = np.minimum(samples >> (bits - 8), 255).astype(np.uint8)
    if page.photometric == _MIN_IS_WHITE:
        scaled = 255 - scaled
    image = Image.frombytes(mode, (page.imagewidth, page.imagelength), scaled.tobytes())
    profile = page.tags.valueof(_ICC_PROFILE)
    if isinstance(profile, bytes):
        image.info["icc_profile"] = profile
    image.getexif()[_ORIENTATION] = page.tags.valueof(_ORIENTATION, 1)
    return ImageOps.exif_transpose(image)


def find_significant_bits(tiff: tifffile.TiffFile, page: tifffile.TiffPage, brightest: int) -> int:
    """Return how many bits of a sample are in use, 8 to 16, as :func:`decode_page` says.

    Args:
        tiff: the file.
        page: of samples of over 8 bits.
        brightest: of the page's samples.
    """
    if page.bitspersample < 16:
        return int(page.bitspersample)
    stated = re.search(r'\bSignificantBits\s*=\s*["\'](\d+)', tiff.ome_metadata or "")
    if stated and 8 <= int(stated[1]) <= 16:
        return int(stated[1])
    maximum = page.tags.valueof(_MAX_SAMPLE_VALUE)
    if maximum is not None:
        bits = int(np.max(maximum)).bit_length()
        # A tag that the samples belie, or the default of full range, says nothing.
        if 8 <= bits < 16 and brightest < 2**bits:
            return bits
    return next(bits for bits in _CAMERA_BITS if brightest < 2**bits)


def _find_mode(page: tifffile.TiffPage) -> str:
    modes = {
        (_MIN_IS_WHITE, 1): "L",
        (_MIN_IS_BLACK, 1): "L",
        (_RGB, 3): "RGB",
        (_RGB, 4): "RGBA",
        (_SEPARATED, 4): "CMYK",
    }
    try:
        return modes[page.photometric, page.samplesperpixel]
    except KeyError:
        raise ValueError(
            f"{page.samplesperpixel} samples of 16 bits a pixel of photometric type {page.photometric}"
        ) from None
