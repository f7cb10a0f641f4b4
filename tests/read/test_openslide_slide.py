"""Slides through OpenSlide: the same pixels and scale as by other ways, errors that are named."""

from __future__ import annotations

import pickle
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.read.dicom import write_dicom
from tests.read.slides import make_pixels, write_aperio

from erythron.errors import ImageReadError, MissingExtraError
from erythron.read.openslide_slide import OpenSlideSlide
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
