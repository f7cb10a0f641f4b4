"""Part of a page of a TIFF, decoded from the tiles or strips that it touches and no others."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

Samples = NDArray[Any]

CACHE_BYTES = 128 * 2**20
"""Decoded tiles and strips that are kept: a row of 1024 px windows over strips 40,000 px wide."""

MOST_SEGMENT_BYTES = 256 * 2**20
"""The largest tile or strip that is decoded as a whole; writers make them of 8 KB to 12 MB."""

READ_COMPRESSIONS = frozenset(
    {1, 5, 7, 8, 32773, 32946, 33003, 33004, 33005, 34712, 34925, 34926, 50000, 50001}
)
"""None, LZW, JPEG, deflate, PackBits, JPEG 2000, LZMA, Zstandard and WebP, by their numbers in a TIFF."""

_NONE, _JPEG_2000 = 1, frozenset({33003, 33004, 33005, 34712})
_CONTIGUOUS = 1
_MOST_GROWTH = 2
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class _Segment:
    """A tile, a strip or, of strips that are not compressed, some rows of one.

    Attributes:
        key: what it is called in the cache.
        plane: which sample it holds, 0 where it holds all.
        left: its first column in the page.
        top: its first row in the page.
    """

    key: tuple[int, ...]
    plane: int
    left: int
    top: int


class SegmentReader:
    """Reads parts of the pages of one open TIFF; several threads may use it at once.

    Args:
        file: the TIFF.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Samples | None] = OrderedDict()
        self._kept_bytes = 0

    def check(self, page: tifffile.TiffPage) -> None:
        """Refuse a page of which parts cannot be read.

        Raises:
            ValueError: it ends early, lacks pixels, or is of a compression or layout that is not read.
        """
        if page.compression not in READ_COMPRESSIONS:
            raise ValueError(f"its compression, number {int(page.compression)}, is not read")
        if page.imagedepth != 1 or page.dtype is None or page.dtype.kind != "u" or page.dtype.itemsize > 2:
            raise ValueError(f"its samples are {page.dtype}, neither 8 nor 16 bits")
        ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)]
        rows, columns = _count_segments(page)
        planes = 1 if page.planarconfig == _CONTIGUOUS else page.samplesperpixel
        if len(ends) != rows * columns * planes:
            raise ValueError(f"it lists {len(ends)} tiles or strips where {rows * columns * planes} are due")
        if max(ends) > self._size:
            raise ValueError("pixel data end early")
        if not any(page.databytecounts):
            raise ValueError("pixel data are missing")
        if not _is_raw(page) and _segment_bytes(page) > MOST_SEGMENT_BYTES:
            raise ValueError(
                f"its strips are of {_segment_bytes(page) >> 20} MB, and each would have to be decoded as a "
                "whole; save it with tiles, for instance by: vips tiffsave IN OUT.tif --tile --pyramid"
            )

    def read(
        self, page: tifffile.TiffPage, box: tuple[int, int, int, int]
    ) -> tuple[Samples, NDArray[np.bool_]]:
        """Return part of a page and what of it the file leaves out.

        Args:
            page: of this file.
            box: left, top, width and height in pixels, inside the page.

        Returns:
            (height, width, samples) of the page's own dtype, and (height, width) bool, True where the file
            holds no tile: there the samples are 0.

        Raises:
            ValueError, RuntimeError: a tile cannot be decoded; as of tifffile and imagecodecs.
        """
        left, top, width, height = box
        samples = np.zeros((height, width, page.samplesperpixel), page.dtype)
        missing = np.zeros((height, width), np.bool_)
        for segment in _find_segments(page, box):
            pixels = self._fetch(page, segment, box)
            y, x = segment.top - top, segment.left - left
            rows, columns = _segment_size(page) if pixels is None else pixels.shape[:2]
            there = np.s_[max(y, 0) : max(y + rows, 0), max(x, 0) : max(x + columns, 0)]
            if pixels is None:
                missing[there] = True
                continue
            part = pixels[max(-y, 0) :, max(-x, 0) :][: height - max(y, 0), : width - max(x, 0)]
            if page.planarconfig == _CONTIGUOUS:
                samples[there] = part
            else:
                samples[(*there, segment.plane)] = part[..., 0]
        return samples, missing

    def _fetch(
        self, page: tifffile.TiffPage, segment: _Segment, box: tuple[int, int, int, int]
    ) -> Samples | None:
        """Return what a segment holds, (rows, columns, samples), None where the file leaves it out."""
        if _is_raw(page):
            return self._read_rows(page, segment, box)
        with self._lock:
            if segment.key in self._kept:
                self._kept.move_to_end(segment.key)
                return self._kept[segment.key]
        pixels = self._decode(page, segment.key[-1])
        with self._lock:
            if segment.key not in self._kept:
                self._kept[segment.key] = pixels
                self._kept_bytes += 0 if pixels is None else pixels.nbytes
            while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= 0 if dropped is None else dropped.nbytes
        return pixels

    def _decode(self, page: tifffile.TiffPage, index: int) -> Samples | None:
        length = page.databytecounts[index]
        if not length:
            return None
        if length > _MOST_GROWTH * _segment_bytes(page) + _HEAD_BYTES:
            raise ValueError(f"tile or strip {index} takes more bytes than its pixels")
        content = self._read_bytes(page.dataoffsets[index], length)
        if page.compression in _JPEG_2000:
            _check_jpeg_2000(content, _segment_size(page))
        options = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        pixels = page.decode(content, index, **options)[0]
        return None if pixels is None else np.asarray(pixels)[0]

    def _read_rows(
        self, page: tifffile.TiffPage, segment: _Segment, box: tuple[int, int, int, int]
    ) -> Samples | None:
        """Return the rows of an uncompressed strip that the box touches, however large the strip is."""
        index, first = segment.key[1:]
        start, length = page.dataoffsets[index], page.databytecounts[index]
        if not length:
            return None
        planes = page.samplesperpixel if page.planarconfig == _CONTIGUOUS else 1
        row_bytes = page.imagewidth * planes * np.dtype(page.dtype).itemsize
        strip_rows = page.rowsperstrip
        last = min(first // strip_rows * strip_rows + strip_rows, box[1] + box[3], page.imagelength)
        begin, count = start + first % strip_rows * row_bytes, (last - first) * row_bytes
        if begin + count > start + length:
            raise ValueError("pixel data end early")
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        rows = np.frombuffer(self._read_bytes(begin, count), dtype)
        return rows.reshape(last - first, page.imagewidth, planes)

    def _read_bytes(self, start: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            content = self._file.read(length)
        if len(content) != length:
            raise ValueError("pixel data end early")
        return content


def _is_raw(page: tifffile.TiffPage) -> bool:
    """Return whether rows can be read one by one."""
    is_plain = page.compression == _NONE and page.predictor == 1 and page.fillorder == 1
    return is_plain and not page.is_tiled and page.bitspersample in (8, 16)


def _segment_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """Return rows and columns of a tile or strip."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _count_segments(page: tifffile.TiffPage) -> tuple[int, int]:
    rows, columns = _segment_size(page)
    return math.ceil(page.imagelength / rows), math.ceil(page.imagewidth / columns)


def _segment_bytes(page: tifffile.TiffPage) -> int:
    rows, columns = _segment_size(page)
    planes = page.samplesperpixel if page.planarconfig == _CONTIGUOUS else 1
    return rows * columns * planes * np.dtype(page.dtype).itemsize


def _find_segments(page: tifffile.TiffPage, box: tuple[int, int, int, int]) -> Iterator[_Segment]:
    """Yield the segments that a box touches."""
    left, top, width, height = box
    rows, columns = _segment_size(page)
    down, across = _count_segments(page)
    for plane in range(1 if page.planarconfig == _CONTIGUOUS else page.samplesperpixel):
        for row in range(top // rows, (top + height - 1) // rows + 1):
            for column in range(left // columns, (left + width - 1) // columns + 1):
                index = (plane * down + row) * across + column
                if _is_raw(page):
                    first = max(row * rows, top)
                    yield _Segment((page.offset, index, first), plane, 0, first)
                else:
                    yield _Segment((page.offset, index), plane, column * columns, row * rows)


def _check_jpeg_2000(content: bytes, size: tuple[int, int]) -> None:
    """Refuse a tile whose header states more pixels than a tile has: the decoder would make room for them."""
    place = content.find(_JPEG_2000_SIZE, 0, _HEAD_BYTES)
    if place < 0 or len(content) < place + 24:
        raise ValueError("a JPEG 2000 tile has no header")
    right, bottom, left, top = (
        int.from_bytes(content[place + n : place + n + 4], "big") for n in (8, 12, 16, 20)
    )
    if right - left > size[1] or bottom - top > size[0] or right <= left or bottom <= top:
        raise ValueError(f"a JPEG 2000 tile states {right - left}x{bottom - top} px, more than a tile has")
