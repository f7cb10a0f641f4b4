"""Slides that crash or hang their decoder: refused by name, and the process lives."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.read.dicom import write_dicom
from tests.read.slides import make_pixels

from erythron.errors import ImageReadError
from erythron.read import probe
from erythron.read.openslide_slide import OpenSlideSlide
from erythron.read.source import is_slide, open_source

needs_openslide = pytest.mark.skipif(find_spec("openslide") is None, reason="OpenSlide is not installed")

_OFFSETS = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0"
"""Tag of the pixel data of a DICOM file with the head of its table of offsets; its length and it follow."""


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    return path


def write_crashing_dicom(folder: Path) -> Path:
    """Write a DICOM slide whose first frame begins, it says, 2.9 GB further on."""
    path = write_dicom(folder, make_pixels(200, 260))[0]
    content = bytearray(path.read_bytes())
    content[content.index(_OFFSETS) + len(_OFFSETS) + 4 + 3] = 171
    path.write_bytes(content)
    return path


def test_a_decoder_that_crashes_is_an_error_that_names_the_slide(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "CHILD", "import os, sys; os.kill(os.getpid(), 11)")
    with pytest.raises(
        ImageReadError, match=r"a\.mrxs: OpenSlide itself crashed on it \(SIGSEGV\); .* copy it again"
    ):
        OpenSlideSlide(slide)
    assert not is_slide(slide)


def test_a_decoder_that_hangs_is_given_up(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(probe, "TIME_LIMIT_S", 0.2)
    started = time.perf_counter()
    with pytest.raises(ImageReadError, match=r"a\.mrxs: OpenSlide did not come to an end with it in 0\.2 s"):
        OpenSlideSlide(slide)
    assert time.perf_counter() - started < 10


@needs_openslide
def test_a_dicom_slide_that_crashes_openslide_is_refused(tmp_path: Path) -> None:
    path = write_crashing_dicom(tmp_path)
    with pytest.raises(ImageReadError, match=r"level-0\.dcm: OpenSlide itself crashed on it \(SIG"):
        open_source(path)


@needs_openslide
def test_a_slide_is_tried_once_until_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path, make_pixels(200, 260))[0]
    OpenSlideSlide(path)
    monkeypatch.setattr(probe, "CHILD", "import os; os.abort()")
    OpenSlideSlide(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ImageReadError, match="crashed"):
        OpenSlideSlide(path)


def test_without_a_python_to_start_the_slide_is_opened_all_the_same(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe.sys, "executable", str(slide.with_name("none")))
    probe.probe_slide(slide)
    monkeypatch.setattr(probe.sys, "executable", "")
    probe.probe_slide(slide.rename(slide.with_name("b.mrxs")))
