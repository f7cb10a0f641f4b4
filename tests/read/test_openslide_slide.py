"""Slides through OpenSlide: the same pixels and scale as by other ways, errors that are named."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.read.dicom import write_dicom
from tests.read.scanner_slides import write_leica, write_mirax, write_ndpi, write_ventana, write_vms
from tests.read.slides import make_pixels, shrink, write_aperio

from erythron.errors import ImageReadError, MissingExtraError
from erythron.read.kind import FileKind, find_kind
from erythron.read.openslide_slide import OpenSlideSlide, find_scanned
from erythron.read.source import Slide, open_source

RGB = make_pixels()
HEIGHT, WIDTH = RGB.shape[:2]

needs_openslide = pytest.mark.skipif(find_spec("openslide") is None, reason="OpenSlide is not installed")


@needs_openslide
def test_an_aperio_slide_reads_as_by_tifffile(tmp_path: Path) -> None:
    slide = OpenSlideSlide(write_aperio(tmp_path / "a.svs", RGB))
    assert isinstance(slide, Slide)
    assert (slide.width_px, slide.height_px) == (WIDTH, HEIGHT)
    assert (slide.mpp, slide.magnification, len(slide.levels)) == (0.25, 40.0, 2)
    found = slide.read_region(70, 33, 100, 90)
    assert np.abs(found.astype(int) - RGB[33:123, 70:170]).mean() < 3
    small = slide.read_scaled(0, 0, WIDTH, HEIGHT, 4)
    assert small.shape == (75, 105, 3)
    copy = pickle.loads(pickle.dumps(slide))  # noqa: S301
    np.testing.assert_array_equal(copy.read_region(70, 33, 100, 90), found)


@needs_openslide
@pytest.mark.parametrize("is_jpeg", [True, False])
def test_a_dicom_slide_is_read_from_any_of_its_files(is_jpeg: bool, tmp_path: Path) -> None:
    paths = write_dicom(tmp_path, RGB, is_jpeg=is_jpeg)
    for path in paths:
        slide = OpenSlideSlide(path)
        assert (slide.width_px, slide.height_px, len(slide.levels)) == (WIDTH, HEIGHT, 2)
        assert slide.mpp == pytest.approx(0.25)
        found = slide.read_region(10, 20, 300, 200)
        assert np.abs(found.astype(int) - RGB[20:220, 10:310]).mean() < (3 if is_jpeg else 0.1)


SCANNED = make_pixels(512, 1024, seed=5)


def _write_mirax(path: Path, rgb: NDArray[np.uint8]) -> Path:
    return write_mirax(path, rgb, at=(5, 3), across=32)


def _write_leica(path: Path, rgb: NDArray[np.uint8]) -> Path:
    return write_leica(path, [(rgb, 500, 700)], 3000, 2000)


@needs_openslide
@pytest.mark.parametrize(
    ("name", "write", "most"),
    [
        ("a.mrxs", _write_mirax, 0),
        ("a.scn", _write_leica, 0),
        ("a.bif", write_ventana, 0),
        ("a.ndpi", write_ndpi, 1),
        ("a.vms", write_vms, 1),
    ],
)
def test_slides_of_scanners(
    name: str, write: Callable[[Path, NDArray[np.uint8]], Path], most: float, tmp_path: Path
) -> None:
    path = write(tmp_path / name, SCANNED)
    assert find_kind(path) is FileKind.OPENSLIDE
    slide = OpenSlideSlide(path)
    assert (slide.width_px, slide.height_px) == (1024, 512)
    assert (slide.mpp, slide.magnification) == (pytest.approx(0.25), 40)
    found = slide.read_region(300, 100, 640, 400)
    assert np.abs(found.astype(int) - SCANNED[100:500, 300:940]).mean() <= most
    small = slide.read_scaled(300, 100, 640, 400, 4)
    assert np.abs(small.astype(int) - shrink(SCANNED[100:500, 300:940], 4)).mean() <= most + 0.5
    overview, downsample = slide.read_overview(20_000)
    assert (overview.shape, downsample) == ((100, 200, 3), pytest.approx(5.12))


@needs_openslide
def test_the_image_is_what_was_scanned_and_places_count_from_its_corner(tmp_path: Path) -> None:
    corner = RGB[:200, :200]
    path = write_leica(tmp_path / "a.scn", [(RGB, 500, 700), (corner, 1200, 300)], 3000, 2000)
    slide = OpenSlideSlide(path)
    assert (slide.width_px, slide.height_px) == (900, 700)
    np.testing.assert_array_equal(slide.read_region(0, 400, WIDTH, HEIGHT), RGB)
    np.testing.assert_array_equal(slide.read_region(700, 0, 200, 200), corner)
    assert (slide.read_region(0, 0, 500, 390) == 255).all()
    copy = pickle.loads(pickle.dumps(slide))  # noqa: S301
    np.testing.assert_array_equal(copy.read_region(700, 0, 200, 200), corner)


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({}, (0, 0, 90, 60)),
        ({"x": "10", "y": "20", "width": "30", "height": "40"}, (10, 20, 30, 40)),
        ({"x": "10", "y": "20", "width": "30"}, (0, 0, 90, 60)),
        ({"x": "10", "y": "21", "width": "30", "height": "40"}, (0, 0, 90, 60)),
        ({"x": "-1", "y": "0", "width": "30", "height": "40"}, (0, 0, 90, 60)),
        ({"x": "0", "y": "0", "width": "0", "height": "40"}, (0, 0, 90, 60)),
        ({"x": "0", "y": "0", "width": "nan", "height": "40"}, (0, 0, 90, 60)),
    ],
)
def test_a_rectangle_that_does_not_lie_on_the_slide_is_not_followed(
    stated: dict[str, str], found: tuple[int, int, int, int]
) -> None:
    assert find_scanned((90, 60), {f"openslide.bounds-{k}": v for k, v in stated.items()}) == found


@needs_openslide
def test_what_openslide_cannot_read_is_said_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(
        ImageReadError, match=r"a\.mrxs: OpenSlide cannot read the slide \(.+\); copy it again"
    ):
        open_source(tmp_path / "a.mrxs")
    with pytest.raises(ImageReadError, match="no such file"):
        OpenSlideSlide(tmp_path / "gone.ndpi")


def test_without_openslide_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.vms").write_bytes(b"[Virtual Microscope Specimen]")
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingExtraError, match=r"erythron\[slides\] is needed to read a\.vms"):
        open_source(tmp_path / "a.vms")
