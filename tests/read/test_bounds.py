"""Files that would keep a decoder busy, and long texts that nobody reads."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from erythron.errors import ImageReadError
from erythron.read.bounds import MAX_SCANS, check_scans, drop_texts
from erythron.read.fields import read_image

START = b"\xff\xda"


def test_a_jpeg_of_a_hundred_scans_is_the_most(tmp_path: Path) -> None:
    check_scans(tmp_path, io.BytesIO(START * MAX_SCANS + b"\xff\xd9"), 1000)
    for scans, pixels in ((MAX_SCANS + 1, 1000), (40, 60_000_000)):
        with pytest.raises(ImageReadError, match="scans"):
            check_scans(tmp_path, io.BytesIO(START * scans), pixels)


def test_an_ordinary_progressive_jpeg_is_read(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.jpg", progressive=True)
    assert read_image(tmp_path / "a.jpg").rgb.shape == (90, 120, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_a_broken_copy_filled_with_zeros_is_not_a_grey_field(
    progressive: bool, tmp_path: Path
) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    whole = tmp_path / "a.jpg"
    preview = io.BytesIO()
    Image.fromarray(rgb[:20, :20]).save(preview, "JPEG")
    exif = Image.Exif()
    exif[0x927C] = preview.getvalue()  # has its own end
    Image.fromarray(rgb).save(whole, progressive=progressive, exif=exif)
    content = whole.read_bytes()
    for after in (b"", bytes(200), START + bytes(200)):  # what cameras and cards put behind the end
        whole.write_bytes(content + after)
        assert read_image(whole).rgb.shape == (90, 120, 3)
    kept = len(content) * 2 // 3
    whole.write_bytes(content[:kept] + bytes(len(content) - kept))
    with pytest.raises(ImageReadError, match=r"a\.jpg: the image is truncated"):
        read_image(whole)


@pytest.mark.real_data
def test_the_jpeg_of_twenty_thousand_scans_is_refused_at_once(data_dir: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(ImageReadError, match="scans"):
        read_image(data_dir / "cases" / "files" / "jpeg_scans.jpg")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_a_png_with_two_mebibytes_of_text_is_read(kind: str, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    text = PngInfo()
    long = "word " * (2**21 // 5)
    if kind == "iTXt":
        text.add_itxt("Comment", long, zip=True)
    else:
        text.add_text("Comment", long, zip=kind == "zTXt")
    Image.fromarray(rgb).save(tmp_path / "a.png", pnginfo=text, dpi=(254_000, 254_000))
    found = read_image(tmp_path / "a.png")
    assert np.array_equal(found.rgb, rgb)
    assert found.mpp == pytest.approx(0.1, rel=1e-3)


def test_a_png_without_long_texts_is_not_copied(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        assert drop_texts(file) is file
        assert file.tell() == 0
