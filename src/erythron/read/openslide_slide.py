"""Slides of scanners' own formats, and DICOM, through OpenSlide: the extra ``slides``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.errors import ImageReadError, MissingExtraError
from erythron.files.reading import open_regular
from erythron.read.colour import make_profile_change
from erythron.read.damage import DECODER_ERRORS
from erythron.read.fields import explain_refusal
from erythron.read.probe import probe_slide
from erythron.read.pyramid import Level, Opened, PyramidSlide, SlideFacts
from erythron.read.scale import accept_mpp, as_number

if TYPE_CHECKING:
    from openslide import OpenSlide

_WHITE = (255, 255, 255, 255)
_BLOCK_PX = 4096


@dataclass(frozen=True)
class _Scanned:
    """An open slide and where on it the scanned part begins, in pixels at full resolution."""

    slide: OpenSlide
    left: int
    top: int


class OpenSlideSlide(PyramidSlide[_Scanned]):
    """A slide that OpenSlide reads; see :class:`PyramidSlide`.

    Formats that place what was scanned on empty glass (3DHISTECH, Leica) state the rectangle around it. That
    is the image, and places count from its upper left corner, as QuPath has them.

    Raises:
        MissingExtraError: OpenSlide is not installed.
    """

    def _open_file(self, path: Path) -> Opened[_Scanned]:
        try:
            open_regular(path).close()
        except OSError as error:
            raise explain_refusal(path, error) from None
        try:
            import openslide
        except (ImportError, OSError) as error:
            # OSError: the Python package is there, but not the library that openslide-bin brings.
            raise MissingExtraError("slides", f"read {path.name}") from error
        probe_slide(path)
        try:
            slide = openslide.OpenSlide(path)
            left, top, width, height = find_scanned(slide.dimensions, slide.properties)
            levels = tuple(
                Level(
                    max(1, round(width * columns / slide.dimensions[0])),
                    max(1, round(height * rows / slide.dimensions[1])),
                    downsample,
                )
                for (columns, rows), downsample in zip(
                    slide.level_dimensions, slide.level_downsamples, strict=True
                )
            )
            x, y, power = (
                as_number(slide.properties.get(name))
                for name in (
                    openslide.PROPERTY_NAME_MPP_X,
                    openslide.PROPERTY_NAME_MPP_Y,
                    openslide.PROPERTY_NAME_OBJECTIVE_POWER,
                )
            )
            # The profile comes with the pixels of a region.
            profile = slide.read_region((left, top), len(levels) - 1, (1, 1)).info.get("icc_profile")
        except (openslide.OpenSlideError, *DECODER_ERRORS) as error:
            raise _explain(path, error) from error
        facts = SlideFacts(levels, accept_mpp(x, y), power or None)
        return Opened(_Scanned(slide, left, top), facts, make_profile_change(profile))

    def _read_level(self, handle: _Scanned, number: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        import openslide

        left, top, width, height = box
        slide = handle.slide
        x, y = (
            whole / part for whole, part in zip(slide.dimensions, slide.level_dimensions[number], strict=True)
        )
        pixels = np.empty((height, width, 3), np.uint8)
        try:
            # OpenSlide hands over four bytes a pixel, which need not be there for all of them at once.
            for row in range(0, height, _BLOCK_PX):
                rows = min(_BLOCK_PX, height - row)
                place = (handle.left + round(left * x), handle.top + round((top + row) * y))
                image = slide.read_region(place, number, (width, rows))
                pixels[row : row + rows] = _lay_on_white(image)
        except (openslide.OpenSlideError, *DECODER_ERRORS) as error:
            # After an error a slide stays unreadable: the next reading is to open it anew.
            self._opened = None
            raise _explain(self._path, error) from error
        return pixels


def find_scanned(size: tuple[int, int], properties: Mapping[str, str]) -> tuple[int, int, int, int]:
    """Return left, top, width and height in pixels of the rectangle around what a slide's scanner scanned.

    It is the whole slide where the file states none, or one that does not lie on the slide.

    Args:
        size: width and height of the whole slide in pixels.
        properties: of the slide as OpenSlide names them.
    """
    try:
        left, top, width, height = (
            int(properties[f"openslide.bounds-{name}"]) for name in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return 0, 0, *size
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[0] or top + height > size[1]:
        return 0, 0, *size
    return left, top, width, height


def _lay_on_white(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB"))


def _explain(path: Path, error: BaseException) -> ImageReadError:
    cause = str(error).strip().rstrip(".") or type(error).__name__
    return ImageReadError(
        f"{path}: OpenSlide cannot read the slide ({cause}); copy it again with all files that belong to it, "
        "or export it as a pyramidal TIFF"
    )
