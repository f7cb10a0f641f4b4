"""Pixels for the page: regions of a field at any size, and crops of its cells.

All pixels come through :class:`erythron.read.source.Source`, so that what is too large for memory can be
shown region by region.
"""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.outline import check_side
from erythron.errors import DataError, UsageError
from erythron.read.box import Box
from erythron.read.image import SmearImage
from erythron.read.source import Slide, Source, open_source, read_whole
from erythron.report.gallery import crop_around
from erythron.review_page.edits import Part, Point
from erythron.review_page.field import PageField

_MAX_OPEN_BYTES = 400_000_000
"""Bytes of fields that are kept decoded; the one in use is kept whatever its size."""

_SLIDE_BYTES = 150_000_000
"""What an open slide keeps decoded at most, of its own tiles."""

_MAX_CROP_BYTES = 256_000_000
"""Bytes of encoded crops that are kept: some 40,000 cells."""

_CROP_PX = 288
"""The most pixels of a side of a crop: twice its 144 on the screen; none is enlarged."""

_QUALITY = 90
_WIDEST_REGION_PX = 2048

_AHEAD, _PAUSE_S = 16, 0.05
"""Crops that are cut ahead at once, and the pause before them, in which requests are answered."""

_WIDTHS = 1.3
"""Side of a crop over the size that 95 % of the cells keep under: a cell is seen with its neighbours."""


class Images:
    """The fields of a run, a few of them decoded.

    Args:
        mpp: microns per pixel that the user gave for the run, or None.
    """

    def __init__(self, mpp: float | None) -> None:
        self._mpp = mpp
        self._open: OrderedDict[int, Source] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, field: PageField) -> Source:
        """Return the pixels of a field.

        Raises:
            ImageReadError: the image cannot be read any more.
        """
        with self._lock:
            if field.number in self._open:
                self._open.move_to_end(field.number)
                return self._open[field.number]
            source = open_source(field.path, self._mpp)
            self._open[field.number] = source
            while len(self._open) > 1 and sum(map(_size, self._open.values())) > _MAX_OPEN_BYTES:
                self._open.popitem(last=False)
            return source

    def read_whole(self, field: PageField) -> SmearImage:
        """Return the whole image of a field at the scale that it was counted at."""
        record = field.record
        return replace(read_whole(self.open(field)), mpp=record.mpp, mpp_source=record.mpp_source)

    def read_around(self, field: PageField, places: Sequence[Point], reach_um: float) -> Part:
        """Return the pixels in which a person outlines a cell: of a field all, of a slide those around it.

        Args:
            field: the field or slide.
            places: corners of the cell, or one place in it.
            reach_um: what is read of a slide around them, micrometres.

        Raises:
            DataError: the places lie too far apart to be of one cell, or outside the slide.
            ImageReadError: the image cannot be read any more.
        """
        source, record = self.open(field), field.record
        if record.slide is None:
            return Part(self.read_whole(field))
        mpp = record.slide.working_mpp
        (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*places, strict=True))
        check_side((bottom - top, right - left))
        box = Box(math.floor(left), math.floor(top), math.ceil(right) + 1, math.ceil(bottom) + 1)
        box = box.grow(math.ceil(reach_um / mpp)).intersect(Box(0, 0, source.width_px, source.height_px))
        if not box.area_px:
            raise DataError(f"that lies outside {field.title}")
        rgb = source.read_region(box.left, box.top, box.right - box.left, box.bottom - box.top)
        glass = np.array(record.slide.glass, np.float32)
        return Part(SmearImage(record.image, rgb, mpp, record.mpp_source, glass=glass), box.left, box.top)


def _size(source: Source) -> int:
    return _SLIDE_BYTES if isinstance(source, Slide) else source.width_px * source.height_px * 3


def cut_region(source: Source, box: tuple[int, int, int, int], width: int) -> bytes:
    """Return a region of an image as JPEG.

    Args:
        source: the image.
        box: left, top, width and height in its pixels.
        width: of the picture, in pixels; it is never enlarged.

    Raises:
        UsageError: the region lies outside the image, or the picture would be too large.
    """
    left, top, across, down = box
    inside = left >= 0 and top >= 0 and left + across <= source.width_px and top + down <= source.height_px
    if not inside or min(across, down, width) < 1:
        raise UsageError(
            f"the region lies outside the image, which is {source.width_px} by {source.height_px} pixels"
        )
    width = min(width, across)
    height = max(1, round(down * width / across))
    if max(width, height) > _WIDEST_REGION_PX:
        raise UsageError(f"a region is shown with at most {_WIDEST_REGION_PX} pixels a side; ask for less")
    if isinstance(source, Slide):
        return _encode(Image.fromarray(source.read_scaled(left, top, across, down, across / width)))
    picture = Image.fromarray(source.read_region(left, top, across, down))
    if width < across:
        picture = picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    return _encode(picture)


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def find_cell_size(fields: Sequence[PageField]) -> float | None:
    """Return the size that 95 % of the cells keep under, in micrometres; None where no scale is known.

    All crops of a run show the same width in micrometres, so that sizes can be compared.
    """
    um = [_box_sizes(field) * field.record.mpp for field in fields if field.record.mpp is not None]
    joined = np.concatenate(um) if um else np.zeros(0)
    return float(np.percentile(joined, 95)) if len(joined) else None


def _box_sizes(field: PageField) -> NDArray[np.float64]:
    cells = field.by_model.cells
    return np.asarray(cells.select(pl.max_horizontal("width_px", "height_px")).to_series(), np.float64)


class Crops:
    """Pictures of single cells, each made once.

    Args:
        images: the pixels.
        size_um: of a large cell of the run, see :func:`find_cell_size`.
    """

    def __init__(self, images: Images, size_um: float | None) -> None:
        self._images, self._size_um = images, size_um
        self._made: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def half_side(self, field: PageField) -> int:
        """Return half the side of the crops of a field, in its pixels; of its own cells without a scale."""
        if self._size_um is not None and field.record.mpp is not None:
            size = self._size_um / field.record.mpp
        else:
            boxes = _box_sizes(field)
            size = float(np.percentile(boxes, 95)) if len(boxes) else 64.0
        return max(12, round(_WIDTHS * size / 2))

    def cut(self, field: PageField, cells: pl.DataFrame) -> list[bytes]:
        """Return the crops of some cells of a field as JPEG, in the order of the rows.

        Args:
            field: the field.
            cells: rows of its table.
        """
        rows = list(cells.select("cell_id", "x_px", "y_px").iter_rows())
        with self._lock:
            found = {name: self._made.get((field.number, name)) for name, _, _ in rows}
        missing = [row for row in rows if found[row[0]] is None]
        if missing:
            source, half = self._images.open(field), self.half_side(field)
            for name, x, y in missing:
                found[name] = self._keep((field.number, name), _cut(source, round(x), round(y), half))
        return [found[name] or b"" for name, _, _ in rows]

    def cut_all(self, fields: Sequence[PageField], stop: threading.Event) -> None:
        """Cut the crops of all fields ahead, field by field, in what time requests leave.

        Args:
            fields: the fields.
            stop: set when no more are to be cut.
        """
        for field in fields:
            for some in field.by_model.cells.iter_slices(_AHEAD):
                if stop.wait(_PAUSE_S) or self._bytes > _MAX_CROP_BYTES // 2:
                    return
                self.cut(field, some)

    def _keep(self, key: tuple[int, str], crop: bytes) -> bytes:
        with self._lock:
            if key not in self._made:
                self._made[key] = crop
                self._bytes += len(crop)
            while self._bytes > _MAX_CROP_BYTES:
                self._bytes -= len(self._made.popitem(last=False)[1])
        return crop


def _cut(source: Source, x: int, y: int, half: int) -> bytes:
    left, top = max(0, x - half), max(0, y - half)
    right, bottom = min(source.width_px, x + half), min(source.height_px, y + half)
    picture = crop_around(source.read_region(left, top, right - left, bottom - top), x - left, y - top, half)
    if picture.width > _CROP_PX:
        picture = picture.resize((_CROP_PX, _CROP_PX), Image.Resampling.BOX, reducing_gap=2.0)
    return _encode(picture)


def pack(pictures: Sequence[bytes]) -> bytes:
    """Return pictures one after the other, each after its length as four bytes, the highest first."""
    return b"".join(len(picture).to_bytes(4, "big") + picture for picture in pictures)
