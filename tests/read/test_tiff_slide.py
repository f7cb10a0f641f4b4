"""Huge TIFFs read by region: pixels, levels, scale and magnification of each way to write one."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from tests.read.slides import TILE, make_pixels, shrink, write_aperio, write_ome

from erythron.errors import ImageReadError
from erythron.read.image import ScaleSource
from erythron.read.source import Slide
from erythron.read.tiff_slide import TiffSlide, find_magnification

RGB = make_pixels()
HEIGHT, WIDTH = RGB.shape[:2]
REGIONS = [(0, 0, WIDTH, HEIGHT), (70, 33, 100, 90), (WIDTH - 5, HEIGHT - 9, 5, 9), (63, 64, 1, 1)]


def assert_reads(slide: Slide, expected: NDArray[np.uint8], tolerance: float = 0.0) -> None:
    assert (slide.height_px, slide.width_px) == expected.shape[:2]
    for left, top, width, height in REGIONS:
        found = slide.read_region(left, top, width, height)
        assert found.dtype == np.uint8
        wanted = expected[top : top + height, left : left + width]
        assert found.shape == wanted.shape
        assert np.abs(found.astype(int) - wanted).mean() <= tolerance


def test_an_aperio_slide(tmp_path: Path) -> None:
    slide = TiffSlide(write_aperio(tmp_path / "a.svs", RGB))
    assert_reads(slide, RGB, 3.0)
    assert (slide.mpp, slide.mpp_source, slide.magnification) == (0.25, ScaleSource.METADATA, 40.0)
    # The thumbnail in strips, the label and the macro are no levels.
    assert [(v.width_px, v.height_px) for v in slide.levels] == [(421, 300), (105, 75)]
    assert isinstance(slide, Slide)


def test_an_ome_tiff_with_its_levels_below(tmp_path: Path) -> None:
    slide = TiffSlide(write_ome(tmp_path / "a.ome.tif", RGB, compression="zlib"))
    assert_reads(slide, RGB)
    assert slide.mpp == pytest.approx(0.23)
    assert len(slide.levels) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (TILE, TILE)},
        {"tile": (TILE, TILE), "compression": "lzw", "predictor": True},
        {"tile": (TILE, 2 * TILE), "compression": "zlib"},
        {"tile": (TILE, TILE), "compression": "zstd"},
        {"tile": (TILE, TILE), "compression": "jpeg2000"},
        {"rowsperstrip": 17},
        {"rowsperstrip": 17, "compression": "zlib", "predictor": True},
        {"rowsperstrip": HEIGHT},
        {"rowsperstrip": 17, "byteorder": ">", "bigtiff": True},
    ],
    ids=str,
)
def test_ways_to_store_pixels(options: dict[str, Any], tmp_path: Path) -> None:
    writing = {k: options.pop(k) for k in ("byteorder", "bigtiff") if k in options}
    with tifffile.TiffWriter(tmp_path / "a.tif", **writing) as writer:
        writer.write(RGB, photometric="rgb", metadata=None, **options)
    assert_reads(TiffSlide(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize("options", [{"tile": (TILE, TILE), "compression": "zlib"}, {"rowsperstrip": 23}])
def test_planes_of_one_page(options: dict[str, Any], tmp_path: Path) -> None:
    planes = np.moveaxis(RGB, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", **options)
    assert_reads(TiffSlide(tmp_path / "a.tif"), RGB)


def test_three_grey_pages_are_red_green_and_blue(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for channel in range(3):
            writer.write(RGB[..., channel], photometric="minisblack", tile=(TILE, TILE), metadata=None)
    slide = TiffSlide(tmp_path / "a.tif")
    assert_reads(slide, RGB)
    assert "red, green and blue" in slide.note


def test_of_a_focus_stack_the_sharpest_plane(tmp_path: Path) -> None:
    flat = np.full_like(RGB, 128)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([flat, RGB, flat]), photometric="rgb", tile=(TILE, TILE))
    slide = TiffSlide(tmp_path / "a.tif")
    assert_reads(slide, RGB)
    assert "number 2" in slide.note


@pytest.mark.parametrize("bits", [12, 16])
def test_samples_of_more_than_eight_bits(bits: int, tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) << (bits - 8)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", tile=(TILE, TILE), compression="zlib")
    assert_reads(TiffSlide(tmp_path / "a.tif"), RGB)


def test_transparency_is_laid_on_white_unless_nobody_filled_it(tmp_path: Path) -> None:
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (TILE, TILE)}
    tifffile.imwrite(tmp_path / "a.tif", np.concatenate([RGB, alpha], axis=2), **options)
    assert_reads(TiffSlide(tmp_path / "a.tif"), RGB)
    alpha[:150] = 255
    tifffile.imwrite(tmp_path / "b.tif", np.concatenate([RGB, alpha], axis=2), **options)
    expected = RGB.copy()
    expected[150:] = 255
    assert_reads(TiffSlide(tmp_path / "b.tif"), expected)


def test_tiles_that_are_left_out_are_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(TILE, TILE), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages[0].aspage().tags["TileByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    expected = RGB.copy()
    expected[:TILE, :TILE] = 255
    assert_reads(TiffSlide(path), expected)


@pytest.mark.parametrize("downsample", [1.0, 1.7, 4.0, 7.3])
def test_a_smaller_region_is_the_mean_of_what_it_covers(downsample: float, tmp_path: Path) -> None:
    slide = TiffSlide(write_ome(tmp_path / "a.tif", RGB))
    found = slide.read_scaled(40, 20, 320, 240, downsample)
    assert found.shape == (round(240 / downsample), round(320 / downsample), 3)
    flat = TiffSlide(write_flat(tmp_path / "b.tif"))
    other = flat.read_scaled(40, 20, 320, 240, downsample)
    assert np.abs(found.astype(int) - other).mean() < 2.5
    if downsample == 4.0:
        np.testing.assert_allclose(other, shrink(RGB[20:260, 40:360], 4), atol=1)


def write_flat(path: Path) -> Path:
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(TILE, TILE))
    return path


def test_reading_in_bands_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = TiffSlide(write_flat(tmp_path / "a.tif"))
    whole = slide.read_scaled(3, 5, 400, 290, 5.5)
    monkeypatch.setattr("erythron.read.pyramid.BAND_PX", 10_000)
    np.testing.assert_allclose(slide.read_scaled(3, 5, 400, 290, 5.5), whole, atol=1)


def test_the_overview_has_the_size_asked_for(tmp_path: Path) -> None:
    slide = TiffSlide(write_aperio(tmp_path / "a.svs", RGB))
    overview, downsample = slide.read_overview(2_000)
    assert overview.shape[0] * overview.shape[1] <= 2_000
    assert downsample == pytest.approx(WIDTH / overview.shape[1], rel=0.02)
    np.testing.assert_allclose(overview.mean(axis=(0, 1)), RGB.mean(axis=(0, 1)), atol=2)
    whole, one = slide.read_overview(10**9)
    assert (whole.shape[:2], one) == ((HEIGHT, WIDTH), 1.0)


def test_regions_beyond_the_slide_are_refused(tmp_path: Path) -> None:
    slide = TiffSlide(write_flat(tmp_path / "a.tif"))
    for region in ((-1, 0, 5, 5), (WIDTH - 2, 0, 5, 5), (0, 0, WIDTH, HEIGHT + 1)):
        with pytest.raises(ValueError, match="reach beyond the image of 421x300 px"):
            slide.read_region(*region)
        with pytest.raises(ValueError, match="reach beyond"):
            slide.read_scaled(*region, 2.0)
    assert slide.read_region(4, 4, 0, 3).shape == (3, 0, 3)
    with pytest.raises(ValueError, match="enlarge"):
        slide.read_scaled(0, 0, 8, 8, 0.5)


def read_corner(slide: Slide) -> NDArray[np.uint8]:
    return slide.read_region(0, 0, 90, 90)


def test_a_pickled_slide_opens_itself_again_in_another_process(tmp_path: Path) -> None:
    slide = TiffSlide(write_flat(tmp_path / "a.tif"), 0.5)
    copy = pickle.loads(pickle.dumps(slide))  # noqa: S301
    assert (copy.mpp, copy.mpp_source, copy.width_px) == (0.5, ScaleSource.OPTION, WIDTH)
    np.testing.assert_array_equal(read_corner(copy), RGB[:90, :90])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(read_corner, (slide,)), RGB[:90, :90])


@pytest.mark.parametrize(
    ("text", "power"),
    [
        ("Aperio|AppMag = 20|MPP = 0.5", 20.0),
        ('<OME><Objective NominalMagnification="63.0"/></OME>', 63.0),
        ("nothing", None),
        ("AppMag = 0", None),
    ],
)
def test_magnification(text: str, power: float | None) -> None:
    assert find_magnification(text) == power


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compression": "jpegxl", "tile": (TILE, TILE)}, "its compression, number"),
        ({"extratags": [(274, "H", 1, 6, True)]}, "turned or mirrored"),
    ],
)
def test_what_is_not_read_is_said(options: dict[str, Any], reason: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None, **options)
    with pytest.raises(ImageReadError, match=reason) as caught:
        TiffSlide(tmp_path / "a.tif")
    assert "a.tif" in str(caught.value)


def test_a_truncated_slide_is_named_when_it_is_opened(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ImageReadError, match=r"a\.tif: .*pixel data end early"):
        TiffSlide(path)
