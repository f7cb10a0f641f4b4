"""One interface to pixels: files in memory, and whatever reads piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from erythron.errors import ImageReadError, UsageError
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.source import Source, open_source, read_whole

RGB = np.random.default_rng(5).integers(0, 256, (24, 37, 3), dtype=np.uint8)


class Pieces:
    """A source that is no image in memory, and notes what was read of it."""

    name, width_px, height_px = "slide.any", 37, 24
    mpp, mpp_source = 0.25, ScaleSource.METADATA

    def __init__(self) -> None:
        self.read: list[tuple[int, int, int, int]] = []

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        self.read.append((left, top, width, height))
        return RGB[top : top + height, left : left + width]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_file_opens_as_a_source_with_its_name_size_and_scale(path: Path) -> None:
    source: Source = open_source(path, 0.25)
    assert (source.name, source.width_px, source.height_px) == (str(path), 37, 24)
    assert (source.mpp, source.mpp_source) == (0.25, ScaleSource.OPTION)
    unknown = open_source(path)
    assert (unknown.mpp, unknown.mpp_source) == (None, ScaleSource.UNKNOWN)


@pytest.mark.parametrize("region", [(0, 0, 37, 24), (3, 5, 10, 7), (36, 23, 1, 1), (4, 4, 0, 0)])
def test_a_region_is_that_part_of_the_image(path: Path, region: tuple[int, int, int, int]) -> None:
    left, top, width, height = region
    found = open_source(path).read_region(*region)
    assert found.shape == (height, width, 3)
    np.testing.assert_array_equal(found, RGB[top : top + height, left : left + width])


@pytest.mark.parametrize(
    "region", [(-1, 0, 5, 5), (0, -1, 5, 5), (33, 0, 5, 5), (0, 20, 5, 5), (0, 0, 38, 24)]
)
def test_a_region_beyond_the_image_is_refused(path: Path, region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"reach beyond the image of 37x24 px"):
        open_source(path).read_region(*region)


def test_what_is_in_memory_is_not_copied(path: Path) -> None:
    image = open_source(path)
    assert read_whole(image) is image


def test_another_source_is_read_once_into_memory() -> None:
    source = Pieces()
    image = read_whole(source)
    assert isinstance(image, SmearImage)
    assert source.read == [(0, 0, 37, 24)]
    np.testing.assert_array_equal(image.rgb, RGB)
    assert (image.name, image.mpp, image.mpp_source) == ("slide.any", 0.25, ScaleSource.METADATA)


def test_what_cannot_be_opened_is_said(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"absent\.png"):
        open_source(tmp_path / "absent.png")
    with pytest.raises(UsageError, match="microns per pixel"):
        open_source(path, 99.0)
