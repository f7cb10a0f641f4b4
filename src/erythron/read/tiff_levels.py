"""The pyramid in a TIFF: which pages show the whole image, and how their samples become colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from erythron.read.tiff import MAX_PAGES, MAX_PLANES, find_planes, find_significant_bits, measure_sharpness
from erythron.read.tiff_segments import SegmentReader

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_ASSOCIATED_ALPHA = 1
_JPEG, _JPEG_2000 = 7, frozenset({33004, 33005, 34712})
_ORIENTATION, _UPRIGHT = 274, 1
_LEVEL_TOLERANCE_PX = 2.0
_PROBE_PX = 1024
_PROBES = 3


@dataclass(frozen=True)
class TiffLevel:
    """One size of the image.

    Attributes:
        pages: one of all colours, or three grey ones that are red, green and blue.
    """

    pages: tuple[tifffile.TiffPage, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.pages[0].imagewidth), int(self.pages[0].imagelength)


@dataclass(frozen=True)
class SampleKind:
    """What the samples of a slide mean.

    Attributes:
        bits: of a sample that are in use, 8 to 16.
        has_alpha: whether the fourth sample is transparency to be laid on white.
    """

    bits: int
    has_alpha: bool


def find_levels(tiff: tifffile.TiffFile, reader: SegmentReader) -> tuple[tuple[TiffLevel, ...], str]:
    """Return the sizes in which a TIFF holds its image, largest first, and what is to be said of it.

    Smaller ones are SubIFDs of the largest page (OME-TIFF) or pages of their own (Aperio and others): those
    of the same samples, layout and proportions, so that labels, macros and masks are none.

    Raises:
        ValueError: the image is of a kind that is not read piece by piece, or is damaged.
    """
    planes = find_planes(tiff)
    note = ""
    if len(planes) > MAX_PLANES:
        raise ValueError(f"it has {len(planes)} planes, more than {MAX_PLANES}; save the sharpest one alone")
    for plane in planes:
        _check_kind(plane)
        reader.check(plane)
    if planes[0].samplesperpixel == 1 and planes[0].photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK):
        if len(planes) not in (1, 3):
            raise ValueError(f"it has {len(planes)} grey planes, of which no colours can be made")
        if len(planes) == 3:
            note = "three grey planes of the file were read as red, green and blue"
    elif len(planes) > 1:
        number = _find_sharpest(planes, reader)
        note = f"of {len(planes)} planes in the file the sharpest, number {number + 1}, was read"
        planes = [planes[number]]
    levels = [TiffLevel(tuple(planes))]
    groups = [list(_list_smaller(tiff, plane)) for plane in planes]
    for pages in zip(*groups, strict=False):
        # A smaller level that is damaged or odd is done without: full resolution is what counts.
        try:
            for page in pages:
                _check_kind(page)
                reader.check(page)
        except ValueError:
            continue
        if len({(page.imagewidth, page.imagelength) for page in pages}) == 1:
            levels.append(TiffLevel(tuple(pages)))
    return tuple(sorted(levels, key=lambda level: level.size, reverse=True)), note


def find_sample_kind(
    tiff: tifffile.TiffFile, levels: tuple[TiffLevel, ...], reader: SegmentReader
) -> SampleKind:
    """Return what the samples mean, where their number of bits is unsure by those of the smallest level.

    Raises:
        ValueError, RuntimeError: the pixels cannot be decoded.
    """
    page = levels[0].pages[0]
    is_rgba = page.photometric == _RGB and page.samplesperpixel == 4
    if page.bitspersample <= 8 and not is_rgba:
        return SampleKind(8, has_alpha=False)
    pages = levels[-1].pages
    probes = [reader.read(p, box)[0] for p in pages for box in _list_probes(p)]
    bits = 8
    if page.bitspersample > 8:
        bits = find_significant_bits(tiff, page, max(int(probe.max()) for probe in probes))
    # A channel that nobody filled: on white nothing would be left.
    has_alpha = is_rgba and any(probe[..., 3].any() for probe in probes)
    return SampleKind(bits, has_alpha)


def read_level(
    reader: SegmentReader, level: TiffLevel, kind: SampleKind, box: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Return part of a level, (height, width, 3) uint8 in the file's own colours; missing tiles are white.

    Args:
        reader: of the file.
        level: of the file.
        kind: what its samples mean.
        box: left, top, width and height in pixels of the level.

    Raises:
        ValueError, RuntimeError: the pixels cannot be decoded.
    """
    parts = [(page, *reader.read(page, box)) for page in level.pages]
    if len(parts) == 1:
        rgb = _convert(parts[0][0], parts[0][1], kind)
    else:
        rgb = np.concatenate([_convert(page, samples, kind)[..., :1] for page, samples, _ in parts], axis=2)
    missing = parts[0][2]
    if missing.any():
        rgb = np.where(missing[..., None], np.uint8(255), rgb)
    return rgb


def _check_kind(page: tifffile.TiffPage) -> None:
    samples, photometric = page.samplesperpixel, page.photometric
    known = {
        (_MIN_IS_WHITE, 1),
        (_MIN_IS_BLACK, 1),
        (_RGB, 3),
        (_RGB, 4),
        (_PALETTE, 1),
        (_SEPARATED, 4),
        (_YCBCR, 3),
    }
    if (photometric, samples) not in known:
        raise ValueError(f"{samples} samples a pixel of photometric type {photometric} are not read")
    if photometric == _YCBCR and page.compression != _JPEG and page.compression not in _JPEG_2000:
        raise ValueError("its colours are YCbCr without JPEG")
    if photometric in (_PALETTE, _SEPARATED) and page.bitspersample != 8:
        raise ValueError(f"{page.bitspersample} bits a sample of photometric type {photometric} are not read")
    orientation = page.tags.valueof(_ORIENTATION, _UPRIGHT)
    if orientation != _UPRIGHT:
        raise ValueError(f"it is stored turned or mirrored (orientation {orientation}); save it upright")


def _list_smaller(tiff: tifffile.TiffFile, base: tifffile.TiffPage) -> Iterator[tifffile.TiffPage]:
    width, height = base.imagewidth, base.imagelength
    below = tiff.pages if base.pages is None else base.pages
    for entry in islice(below, MAX_PAGES):
        page = entry.aspage()
        w, h = page.imagewidth, page.imagelength
        same_form = min(abs(w - width * h / height), abs(h - height * w / width)) <= _LEVEL_TOLERANCE_PX
        same_kind = (page.samplesperpixel, page.bitspersample, page.photometric, page.is_tiled) == (
            base.samplesperpixel,
            base.bitspersample,
            base.photometric,
            base.is_tiled,
        )
        if w < width and h < height and same_form and same_kind and (base.is_tiled or page.is_reduced):
            yield page


def _list_probes(page: tifffile.TiffPage) -> list[tuple[int, int, int, int]]:
    """Return boxes spread over a page, which stand for the whole of it."""
    width, height = min(_PROBE_PX, page.imagewidth), min(_PROBE_PX, page.imagelength)
    starts = [n / (_PROBES - 1) for n in range(_PROBES)]
    places = [
        (round(x * (page.imagewidth - width)), round(y * (page.imagelength - height)))
        for y in starts
        for x in starts
    ]
    return [(x, y, width, height) for x, y in dict.fromkeys(places)]


def _find_sharpest(planes: list[tifffile.TiffPage], reader: SegmentReader) -> int:
    kind = SampleKind(16 if planes[0].bitspersample > 8 else 8, has_alpha=False)
    totals = [
        sum(
            measure_sharpness(Image.fromarray(_convert(plane, reader.read(plane, box)[0], kind)))
            for box in _list_probes(plane)
        )
        for plane in planes
    ]
    return int(np.argmax(totals))


def _convert(page: tifffile.TiffPage, samples: NDArray[Any], kind: SampleKind) -> NDArray[np.uint8]:
    """Return (H, W, samples) as (H, W, 3) uint8."""
    if samples.dtype.itemsize == 1:
        values = samples.astype(np.uint8, copy=False)
        if page.bitspersample < 8 and page.photometric != _PALETTE:
            values = (values * (255 // (2**page.bitspersample - 1))).astype(np.uint8)
    else:
        values = np.minimum(samples >> (kind.bits - 8), 255).astype(np.uint8)
    if page.photometric == _PALETTE:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8)
        return np.ascontiguousarray(table.T[values[..., 0]])
    if page.photometric == _SEPARATED:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values), "CMYK").convert("RGB"))
    if page.photometric == _MIN_IS_WHITE:
        values = 255 - values
    if values.shape[2] == 1:
        return np.repeat(values, 3, axis=2)
    rgb = values[..., :3]
    if kind.has_alpha and values.shape[2] == 4:
        return _lay_on_white(rgb, values[..., 3:], is_multiplied=_ASSOCIATED_ALPHA in page.extrasamples)
    return np.ascontiguousarray(rgb)


def _lay_on_white(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], *, is_multiplied: bool
) -> NDArray[np.uint8]:
    share = alpha.astype(np.float32) / 255
    light = rgb.astype(np.float32) if is_multiplied else rgb * share
    return np.clip(np.rint(light + 255 * (1 - share)), 0, 255).astype(np.uint8)
