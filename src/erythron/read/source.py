"""Where pixels come from: one interface for a field in memory and for whatever is too large for that.

A reader of another kind of file makes a class with the attributes and the method of :class:`Source`; one of
slides has those of :class:`Slide` as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from erythron.errors import ImageReadError
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage


class Source(Protocol):
    """An image that can be read piece by piece."""

    @property
    def name(self) -> str:
        """The path as the user gave it; what tables and messages call the image."""

    @property
    def width_px(self) -> int:
        """Width of the image at full resolution."""

    @property
    def height_px(self) -> int:
        """Height of the image at full resolution."""

    @property
    def mpp(self) -> float | None:
        """Microns per pixel at full resolution, or None where unknown."""

    @property
    def mpp_source(self) -> ScaleSource:
        """Where ``mpp`` comes from."""

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a region at full resolution, (height, width, 3) uint8 sRGB.

        Args:
            left: its first column.
            top: its first row.
            width: in pixels.
            height: in pixels.

        Raises:
            ValueError: the region reaches beyond the image.
            ImageReadError: the pixels cannot be read.
        """


@runtime_checkable
class Slide(Source, Protocol):
    """An image too large to be held in memory: a whole slide, or a stitched field over 64 million pixels.

    It is opened again by itself after it was pickled or the process was forked, and several threads may read
    from it at once.
    """

    @property
    def magnification(self) -> float | None:
        """Power of the objective as the file states it, such as 40, or None."""

    @property
    def note(self) -> str:
        """What a reader of the results should know of how the file is read; mostly nothing."""

    def read_scaled(
        self, left: int, top: int, width: int, height: int, downsample: float
    ) -> NDArray[np.uint8]:
        """Return a region made smaller, from the level of the pyramid next above it.

        Args:
            left: its first column at full resolution.
            top: its first row at full resolution.
            width: in pixels at full resolution.
            height: in pixels at full resolution.
            downsample: pixels at full resolution to one of the result, 1 or more.

        Returns:
            (round(height / downsample), round(width / downsample), 3) uint8 sRGB, at least one pixel a side;
            what the scanner left out is white.

        Raises:
            ValueError: the region reaches beyond the image.
            ImageReadError: the pixels cannot be read.
        """

    def read_overview(self, most_px: int) -> tuple[NDArray[np.uint8], float]:
        """Return the whole image made smaller, and how much: pixels at full resolution to one of it.

        Args:
            most_px: the most pixels, width times height, that it may have.

        Raises:
            ImageReadError: the pixels cannot be read.
        """


def is_slide(path: str | Path) -> bool:
    """Return whether a file is a slide, which is read piece by piece; its head tells, not its pixels."""
    return False


def open_source(path: str | Path, mpp: float | None = None) -> Source:
    """Open an image file with the reader of its kind; another kind of file gets its reader here.

    Args:
        path: a JPEG, PNG, BMP or TIFF file, see :func:`erythron.read.fields.read_image`.
        mpp: microns per pixel, which overrule the file's; None takes the file's.

    Raises:
        UsageError: ``mpp`` is not a number from 0.01 to 10.
        ImageReadError: the file cannot be read.
    """
    return read_image(path, mpp)


def read_whole(source: Source) -> SmearImage:
    """Return the whole image in memory; one that is there already is returned itself.

    Raises:
        ImageReadError: the pixels cannot be read, or it is a slide.
    """
    if isinstance(source, SmearImage):
        return source
    if isinstance(source, Slide):
        raise ImageReadError(
            f"{source.name}: a slide of {source.width_px}x{source.height_px} pixels is too large to be taken "
            "whole; erythron count counts it, and for anything else cut the field of interest out of it"
        )
    rgb = source.read_region(0, 0, source.width_px, source.height_px)
    return SmearImage(source.name, rgb, source.mpp, source.mpp_source)
