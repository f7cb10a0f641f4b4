"""What all readers of slides have in common: levels, regions made smaller, opening again in another process.

A reader of another format of slides is a subclass of :class:`PyramidSlide` with two methods.
"""

from __future__ import annotations

import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.files.naming import as_text
from erythron.read.fields import check_mpp
from erythron.read.image import ScaleSource

Handle = TypeVar("Handle")

BAND_PX = 16_000_000
"""Pixels of a level that are decoded at once where a region is made smaller: 48 MB."""


@dataclass(frozen=True)
class Level:
    """One size in which the file holds the image.

    Attributes:
        width_px: of the level.
        height_px: of the level.
        downsample: pixels at full resolution to one of the level; 1 for the first.
    """

    width_px: int
    height_px: int
    downsample: float


@dataclass(frozen=True)
class SlideFacts:
    """What a slide's file says of itself.

    Attributes:
        levels: full resolution first, then smaller ones in order.
        mpp: microns per pixel at full resolution, None where it states none that can be a microscope's.
        magnification: power of the objective, None where it states none.
        note: what a reader of the results should know of how it is read.
    """

    levels: tuple[Level, ...]
    mpp: float | None = None
    magnification: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Opened(Generic[Handle]):
    """An open slide.

    Attributes:
        handle: what the format's library gave.
        facts: what the file says of itself.
        to_srgb: takes (H, W, 3) uint8 in the file's own colours to sRGB; None where they are that.
    """

    handle: Handle
    facts: SlideFacts
    to_srgb: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None


class PyramidSlide(ABC, Generic[Handle]):
    """A slide in a file, a :class:`~erythron.read.source.Slide`.

    It is opened at once, so that a broken file is said at once, and again by itself after it was pickled or
    the process was forked: a file's place cannot be shared between processes.
    """

    def __init__(self, path: str | Path, mpp: float | None = None) -> None:
        """Open a slide.

        Args:
            path: of the file.
            mpp: microns per pixel, which overrule the file's; None takes the file's.

        Raises:
            UsageError: ``mpp`` is not a number from 0.01 to 10.
            ImageReadError: the file is missing, damaged, or of a kind or variant that is not read.
        """
        check_mpp(mpp)
        self.name = as_text(path)
        self._path = Path(path)
        self._stated_mpp = mpp
        self._lock = threading.Lock()
        self._opened: tuple[int, Opened[Handle]] | None = None
        self._facts = self._open().facts

    @abstractmethod
    def _open_file(self, path: Path) -> Opened[Handle]:
        """Open the file.

        Raises:
            ImageReadError: it cannot be read.
        """

    @abstractmethod
    def _read_level(self, handle: Handle, number: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return part of a level, (height, width, 3) uint8 in the file's own colours.

        Args:
            handle: the open file.
            number: of the level.
            box: left, top, width and height in pixels of the level, all inside it, none of them empty.

        Raises:
            ImageReadError: the pixels cannot be read.
        """

    @property
    def width_px(self) -> int:
        """Width at full resolution."""
        return self._facts.levels[0].width_px

    @property
    def height_px(self) -> int:
        """Height at full resolution."""
        return self._facts.levels[0].height_px

    @property
    def mpp(self) -> float | None:
        """Microns per pixel at full resolution, or None where unknown."""
        return self._facts.mpp if self._stated_mpp is None else self._stated_mpp

    @property
    def mpp_source(self) -> ScaleSource:
        """Where ``mpp`` comes from."""
        if self._stated_mpp is not None:
            return ScaleSource.OPTION
        return ScaleSource.UNKNOWN if self._facts.mpp is None else ScaleSource.METADATA

    @property
    def magnification(self) -> float | None:
        """Power of the objective as the file states it, or None."""
        return self._facts.magnification

    @property
    def note(self) -> str:
        """What a reader of the results should know of how the file is read; mostly nothing."""
        return self._facts.note

    @property
    def levels(self) -> tuple[Level, ...]:
        """The sizes in which the file holds the image, full resolution first."""
        return self._facts.levels

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a region at full resolution, see :meth:`erythron.read.source.Source.read_region`."""
        self._check_inside(left, top, width, height)
        if not width or not height:
            return np.empty((height, width, 3), np.uint8)
        return self._read(0, (left, top, width, height))

    def read_scaled(
        self, left: int, top: int, width: int, height: int, downsample: float
    ) -> NDArray[np.uint8]:
        """Return a region made smaller, see :meth:`erythron.read.source.Slide.read_scaled`.

        A pixel of the result is the mean of what it covers in the level that is read.
        """
        self._check_inside(left, top, width, height)
        if not downsample >= 1:
            raise ValueError(f"{self.name}: a downsample of {downsample} would enlarge the image")
        if not width or not height:
            raise ValueError(f"{self.name}: a region without pixels cannot be made smaller")
        columns, rows = (max(1, round(side / downsample)) for side in (width, height))
        if (columns, rows) == (width, height):
            return self.read_region(left, top, width, height)
        number = self._choose_level(width / columns, height / rows)
        level = self.levels[number]
        x, y = level.width_px / self.width_px, level.height_px / self.height_px
        box = (left * x, top * y, (left + width) * x, (top + height) * y)
        result = np.empty((rows, columns, 3), np.uint8)
        step = max(1, int(BAND_PX / (box[2] - box[0] + 2) / ((box[3] - box[1]) / rows)))
        for row in range(0, rows, step):
            last = min(row + step, rows)
            upper, lower = (box[1] + (box[3] - box[1]) * n / rows for n in (row, last))
            result[row:last] = self._shrink(number, (box[0], upper, box[2], lower), (columns, last - row))
        return result

    def read_overview(self, most_px: int) -> tuple[NDArray[np.uint8], float]:
        """Return the whole image made smaller, see :meth:`erythron.read.source.Slide.read_overview`.

        Of a file without smaller levels every pixel is decoded for it, piece by piece.
        """
        pixels = self.width_px * self.height_px
        downsample = max(1.0, math.sqrt(pixels / most_px))
        # Rounding may add a row and a column.
        while round(self.width_px / downsample) * round(self.height_px / downsample) > most_px:
            downsample *= 1.001
        overview = self.read_scaled(0, 0, self.width_px, self.height_px, downsample)
        return overview, math.sqrt(pixels / (overview.shape[0] * overview.shape[1]))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process alone."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_opened", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open again at the first reading."""
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._opened = None

    def _open(self) -> Opened[Handle]:
        process = os.getpid()
        with self._lock:
            if self._opened is None or self._opened[0] != process:
                self._opened = (process, self._open_file(self._path))
            return self._opened[1]

    def _read(self, number: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        opened = self._open()
        pixels = self._read_level(opened.handle, number, box)
        return pixels if opened.to_srgb is None else opened.to_srgb(pixels)

    def _choose_level(self, *downsamples: float) -> int:
        """Return the smallest level that is no smaller than what is asked for, but for rounding of sizes."""
        most = min(downsamples) * 1.01
        return max(n for n, level in enumerate(self.levels) if n == 0 or level.downsample <= most)

    def _shrink(
        self, number: int, box: tuple[float, float, float, float], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return the part of a level between two corners, made to a size in pixels."""
        level = self.levels[number]
        left, top = (max(0, math.floor(v + 1e-6)) for v in box[:2])
        right = min(level.width_px, max(left + 1, math.ceil(box[2] - 1e-6)))
        bottom = min(level.height_px, max(top + 1, math.ceil(box[3] - 1e-6)))
        left, top = min(left, right - 1), min(top, bottom - 1)
        pixels = self._read(number, (left, top, right - left, bottom - top))
        inside = (
            max(0.0, box[0] - left),
            max(0.0, box[1] - top),
            min(float(right - left), box[2] - left),
            min(float(bottom - top), box[3] - top),
        )
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize(size, Image.Resampling.BOX, inside))

    def _check_inside(self, left: int, top: int, width: int, height: int) -> None:
        if min(left, top, width, height) < 0 or left + width > self.width_px or top + height > self.height_px:
            raise ValueError(
                f"{self.name}: {width}x{height} px at ({left}, {top}) reach beyond the image of "
                f"{self.width_px}x{self.height_px} px"
            )
