"""Which reader takes a file, and what each comes out as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.read.slides import TILE, make_pixels, write_aperio

from erythron.errors import ImageReadError
from erythron.read.image import SmearImage
from erythron.read.kind import FileKind, find_kind
from erythron.read.source import is_slide, open_source, read_whole
from erythron.read.tiff_slide import TiffSlide

RGB = make_pixels()


def test_fields_and_slides_are_told_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_aperio(tmp_path / "a.svs", RGB)
    assert find_kind(path) is FileKind.FIELD
    field = open_source(path)
    assert isinstance(field, SmearImage)
    monkeypatch.setattr("erythron.read.kind.MAX_PIXELS", 1000)
    assert find_kind(path) is FileKind.TIFF_SLIDE
    monkeypatch.setattr("erythron.read.source.MAX_PIXELS", 1000)
    slide = open_source(path, 0.3)
    assert isinstance(slide, TiffSlide)
    assert (slide.mpp, field.mpp) == (0.3, 0.25)
    assert is_slide(path)
    assert not is_slide(tmp_path / "gone.svs")
    with pytest.raises(ImageReadError, match="too large to be taken whole"):
        read_whole(slide)


def test_a_small_tiff_that_pillow_lacks_the_codec_of_is_a_field_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(TILE, TILE), compression="jpeg2000")
    assert find_kind(path) is FileKind.TIFF_SLIDE
    field = open_source(path)
    assert isinstance(field, SmearImage)
    np.testing.assert_array_equal(field.rgb, RGB)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mrxs", b"\xff\xd8\xff\xe0"),
        ("A.VMS", b"[Virtual Microscope Specimen]"),
        ("b.svslide", b"SQLite format 3"),
        ("no suffix", b"\0" * 128 + b"DICM"),
    ],
)
def test_what_openslide_takes(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert find_kind(tmp_path / name) is FileKind.OPENSLIDE


def test_tiffs_of_scanners_that_openslide_takes(tmp_path: Path) -> None:
    for name, options in (
        ("b.tif", {"software": "MedScan 1"}),
        ("d.scn", {"description": '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"></scn>'}),
    ):
        tifffile.imwrite(tmp_path / name, RGB, photometric="rgb", metadata=None, **options)
        assert find_kind(tmp_path / name) is FileKind.OPENSLIDE, name


def test_pictures_stay_fields_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert find_kind(tmp_path / "a.png") is FileKind.FIELD
    with pytest.raises(ImageReadError, match=r"gone\.svs: there is no such file"):
        find_kind(tmp_path / "gone.svs")
    with pytest.raises(ImageReadError, match="this is a folder"):
        open_source(tmp_path)
    (tmp_path / "b.svs").write_bytes(b"II*\0" + b"\xff" * 60)
    with pytest.raises(ImageReadError, match=r"b\.svs: .*damaged"):
        open_source(tmp_path / "b.svs")
