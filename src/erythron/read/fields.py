"""Reading one field or crop: a JPEG, PNG, WebP, BMP or TIFF file to RGB pixels and microns per pixel.

The kind is told by content, never by suffix; size is checked in the header, before a pixel is decoded.
"""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from erythron.errors import ImageReadError, UsageError, describe_os_error
from erythron.files.naming import as_text
from erythron.files.reading import open_regular
from erythron.read.bounds import check_scans, drop_texts
from erythron.read.colour import convert_to_rgb
from erythron.read.damage import naming_damage
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.inputs import OWN_PICTURE
from erythron.read.scale import find_mpp_in_image

MAX_PIXELS = 64_000_000
"""The most pixels decoded: a 9248x6936 camera passes, a whole slide does not."""

MIN_SIDE_PX = 16
"""The least width and height in which a cell could be told."""

MPP_RANGE = (0.01, 10.0)
"""What a caller may state as microns per pixel."""

HEAD = 132
"""Bytes at the start of a file by which its kind is told."""

_ORIENTATION = 274
_SUPPORTED = "JPEG, PNG, WebP, BMP and TIFF"
TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# The plugins' own classes: Image.open would judge size by Pillow's limit, which is global to the process.
_READERS = (
    (0, b"\xff\xd8\xff", JpegImageFile, ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", PngImageFile, ".png"),
    (8, b"WEBP", WebPImageFile, ".webp"),
    (0, b"BM", BmpImageFile, ".bmp"),
)
_OTHER_KINDS = (
    (0, b"GIF8", "GIF"),
    (4, b"ftyp", "HEIF, AVIF or video"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"%PDF", "PDF"),
    (128, b"DICM", "DICOM"),
)


def read_image(path: str | Path, mpp: float | None = None) -> SmearImage:
    """Read one image file.

    Of a TIFF with several pages those of the most pixels are read, so the base level of a pyramid: how
    several planes become one image, see :func:`erythron.read.tiff.decode_planes`; how samples of 16 bits
    become 8, see :func:`erythron.read.tiff.decode_page`; PNG samples of 16 bits fill
    their range by that format's rule. Colours: see :func:`erythron.read.colour.convert_to_rgb`.

    Args:
        path: a JPEG, PNG, WebP, BMP or TIFF file.
        mpp: microns per pixel, which overrule the file's; None takes the file's where they can be a
            microscope's (0.02 to 5).

    Raises:
        UsageError: ``mpp`` is not a number from 0.01 to 10.
        ImageReadError: the file is missing, unreadable, empty, broken, of another kind, too small or too
            large; the message says which and what to do.
    """
    check_mpp(mpp)
    place = Path(path)
    with _open(place) as file:
        start = file.read(HEAD)
        file.seek(0)
        note = ""
        if start.startswith(TIFF_STARTS):
            rgb_image, own_mpp, orientation, note = _read_tiff(place, file)
        else:
            rgb_image, own_mpp, orientation = _read_plain(place, file, start)
        with naming_damage(place):
            rgb = convert_to_rgb(rgb_image)
    source = ScaleSource.UNKNOWN if own_mpp is None else ScaleSource.METADATA
    if mpp is not None:
        own_mpp, source = mpp, ScaleSource.OPTION
    return SmearImage(as_text(path), rgb, own_mpp, source, note, orientation=orientation)


def choose_suffix(start: bytes) -> str:
    """Return the suffix of the kind of image that content begins as; whether it is whole, reading finds out.

    Args:
        start: the first :data:`HEAD` bytes, or all where there are fewer.

    Raises:
        ImageReadError: it is no image of a kind that is read.
    """
    if start.startswith(TIFF_STARTS):
        return ".tif"
    for at, magic, _, suffix in _READERS:
        if start.startswith(magic, at):
            return suffix
    raise ImageReadError(f"{_describe_kind(start)}; {_SUPPORTED} are read, so save the image as one of them")


def take_array(pixels: NDArray[np.uint8], mpp: float | None = None, name: str = "array") -> SmearImage:
    """Take an image that is in memory already.

    Args:
        pixels: (H, W, 3) uint8, red, green, blue. They are copied, so that the caller may go on to use them.
        mpp: microns per pixel, None where unknown.
        name: what tables and messages call the image.

    Raises:
        UsageError: ``mpp`` is not a number from 0.01 to 10.
        ImageReadError: the array is of another shape or type, too small or too large.
    """
    check_mpp(mpp)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageReadError(
            f"{name}: an array of shape {pixels.shape} and type {pixels.dtype} is no image here; "
            "give (height, width, 3) of uint8, in the order red, green, blue"
        )
    _check_size(Path(name), pixels.shape[1], pixels.shape[0])
    source = ScaleSource.UNKNOWN if mpp is None else ScaleSource.OPTION
    return SmearImage(name, np.array(pixels, order="C"), mpp, source)


def check_mpp(mpp: float | None) -> None:
    """Check what a caller states as microns per pixel.

    Raises:
        UsageError: it is not a number from 0.01 to 10.
    """
    if mpp is not None and not (math.isfinite(mpp) and MPP_RANGE[0] <= mpp <= MPP_RANGE[1]):
        raise UsageError(
            f"{mpp} microns per pixel cannot be; give a number from {MPP_RANGE[0]} to {MPP_RANGE[1]:g}, "
            "or none for the file's own"
        )


def _open(path: Path) -> BinaryIO:
    try:
        file = open_regular(path)
    except OSError as error:
        raise explain_refusal(path, error) from None
    if path.stat().st_size == 0:
        file.close()
        raise ImageReadError(f"{path}: the file is empty (0 bytes); export or copy the image again")
    return file


def explain_refusal(path: Path, error: OSError) -> ImageReadError:
    """Return the error that says why an image file could not be opened, and what to do."""
    if isinstance(error, FileNotFoundError):
        return ImageReadError(f"{path}: there is no such file; check the path's spelling")
    if isinstance(error, IsADirectoryError):
        if not os.access(path, os.R_OK | os.X_OK):
            return ImageReadError(f"{path}: the folder may not be read; change its permissions")
        return ImageReadError(f"{path}: this is a folder; name the image files in it")
    if isinstance(error, PermissionError):
        return ImageReadError(
            f"{path}: reading is not permitted; change the file's permissions or run as its owner"
        )
    if error.errno == errno.EINVAL:
        return ImageReadError(f"{path}: this is not a regular file; name an image file")
    return ImageReadError(f"{path}: cannot be opened ({describe_os_error(error)})")


def _read_plain(path: Path, file: BinaryIO, start: bytes) -> tuple[Image.Image, float | None, int]:
    reader = next((reader for at, magic, reader, _ in _READERS if start.startswith(magic, at)), None)
    if reader is None:
        raise ImageReadError(
            f"{path}: {_describe_kind(start)}; {_SUPPORTED} are read, so save the image as one of them"
        )
    with naming_damage(path):
        image = reader(drop_texts(file) if reader is PngImageFile else file)
        _check_size(path, *image.size)
        if reader is JpegImageFile:
            check_scans(path, file, image.width * image.height)
        mpp = find_mpp_in_image(image)
        orientation = _take_orientation(image.getexif().get(_ORIENTATION))
        image.load()
    if OWN_PICTURE in image.info:
        raise _refuse_own(path)
    if getattr(image, "is_animated", False):
        raise ImageReadError(f"{path}: holds several pictures; save the field alone as one image")
    return image, mpp, orientation


def _read_tiff(path: Path, file: BinaryIO) -> tuple[Image.Image, float | None, int, str]:
    # tifffile costs a tenth of a second to import, which other files need not pay.
    import tifffile

    from erythron.read.tiff import decode_planes, find_planes, find_tiff_mpp

    with naming_damage(path), tifffile.TiffFile(file, name=path.name) as tiff:
        planes = find_planes(tiff)
        if planes[0].description.startswith(OWN_PICTURE):
            raise _refuse_own(path)
        _check_size(path, planes[0].imagewidth, planes[0].imagelength)
        image, note = decode_planes(file, tiff, planes)
        orientation = _take_orientation(planes[0].tags.valueof(_ORIENTATION))
        return image, find_tiff_mpp(tiff, planes[0]), orientation, note


def _take_orientation(value: object) -> int:
    """Return the orientation that a file states; 1, upright, where it states none that there is."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _refuse_own(path: Path) -> ImageReadError:
    return ImageReadError(f"{path}: erythron made this picture from another image; name that image")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageReadError(
            f"{path}: {width}x{height} pixels are too large (over {MAX_PIXELS // 10**6} million); "
            "cut the field of interest out of it, or make a slide of it by: "
            "vips tiffsave IN OUT.tif --tile --pyramid"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise ImageReadError(
            f"{path}: {width}x{height} pixels are too small for a cell (under {MIN_SIDE_PX} a side); "
            "give the image at full resolution"
        )


def _describe_kind(start: bytes) -> str:
    for offset, magic, kind in _OTHER_KINDS:
        if start[offset:].startswith(magic):
            return f"this is a {kind} file, a format that is not supported"
    if all(byte >= 32 or byte in b"\t\n\f\r" for byte in start):
        return "this is text, not an image"
    return "the content is no image of a known format"
