"""Pages of a TIFF: planes, stacks, directories without end, packed samples."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from erythron.errors import ImageReadError
from erythron.read.fields import read_image
from erythron.read.tiff import MAX_PLANES

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


def blur(rgb: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return ndimage.gaussian_filter(rgb, (sigma, sigma, 0))


def test_three_grey_pages_are_red_green_and_blue(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for channel in range(3):
            writer.write(RGB[..., channel], photometric="minisblack", metadata=None)
    found = read_image(path)
    np.testing.assert_array_equal(found.rgb, RGB)
    assert "red, green and blue" in found.note
    deep = np.moveaxis(RGB.astype(np.uint16) * 257, -1, 0)
    tifffile.imwrite(path, deep, imagej=True, metadata={"axes": "CYX"})
    assert read_image(path).rgb.shape == RGB.shape


@pytest.mark.parametrize("planes", [2, 4, 12])
def test_grey_planes_of_another_number_are_refused(planes: int, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RGB[..., 0]] * planes), photometric="minisblack")
    with pytest.raises(ImageReadError, match=f"{planes} grey planes"):
        read_image(tmp_path / "a.tif")


def test_the_sharpest_plane_of_a_stack_is_read_and_said(tmp_path: Path) -> None:
    stack = np.stack([blur(RGB, 3), blur(RGB, 1), RGB, blur(RGB, 2)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb")
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.rgb, RGB)
    assert found.note == "of 4 planes in the file the sharpest, number 3, was read"
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RGB] * (MAX_PLANES + 1)), photometric="rgb")
    with pytest.raises(ImageReadError, match="planes"):
        read_image(tmp_path / "a.tif")


def write_loop(path: Path, pages: int) -> None:
    """Write a TIFF of small pages of which the last points at the first."""
    tifffile.imwrite(path, np.stack([RGB] * pages), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        offsets = [page.offset for page in tiff.pages]
        tags = len(tiff.pages[-1].aspage().tags)
    content = bytearray(path.read_bytes())
    place = offsets[-1] + 2 + 12 * tags
    content[place : place + 4] = struct.pack("<I", offsets[0])
    path.write_bytes(content)


@pytest.mark.parametrize("pages", [1, 3])
def test_a_directory_that_points_at_itself_is_refused(pages: int, tmp_path: Path) -> None:
    write_loop(tmp_path / "a.tif", pages)
    started = time.perf_counter()
    with pytest.raises(ImageReadError, match="points at itself"):
        read_image(tmp_path / "a.tif")
    assert time.perf_counter() - started < 2


@pytest.mark.real_data
def test_the_case_of_such_a_directory_is_refused_at_once(data_dir: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(ImageReadError):
        read_image(data_dir / "cases" / "files" / "ifdloop.tif")
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("predictor", [True, False])
@pytest.mark.parametrize("compression", ["lzw", "zstd", "deflate"])
def test_packed_samples_of_sixteen_bits_are_read(compression: str, predictor: bool, tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) << 8 | 17
    options = {"compression": compression, "predictor": predictor, "photometric": "rgb"}
    tifffile.imwrite(tmp_path / "a.tif", deep, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").rgb, RGB)
