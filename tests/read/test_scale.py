"""Microns per pixel from what files state, and never from a screen's dpi."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from erythron.read.fields import read_image
from erythron.read.image import ScaleSource
from erythron.read.scale import find_mpp_in_description

RGB = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("CENTIMETER", 10_000 / 0.1, 0.1),
        ("INCH", 25_400 / 0.25, 0.25),
        ("INCH", 72, None),
        ("INCH", 96, None),
        ("INCH", 300, None),
        ("CENTIMETER", 118, None),
        ("NONE", 10.0, None),
    ],
)
def test_tiff_resolution(tmp_path: Path, unit: str, per_unit: float, expected: float | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", resolution=(per_unit, per_unit), resolutionunit=unit)
    image = read_image(path)
    assert image.mpp == (None if expected is None else pytest.approx(expected, rel=1e-4))
    assert image.mpp_source is (ScaleSource.UNKNOWN if expected is None else ScaleSource.METADATA)


def test_pixels_that_are_not_square_have_no_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", resolution=(1e5, 5e4), resolutionunit="CENTIMETER")
    assert read_image(path).mpp is None


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (0.11, "µm", 0.11),
        (110.0, "nm", 0.11),
        (0.00011, "mm", 0.11),
        (100.0, "µm", None),
        (0.1, "pixel", None),
    ],
)
def test_ome_physical_size(tmp_path: Path, size: float, unit: str, expected: float | None) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": unit,
    }
    tifffile.imwrite(path, RGB, photometric="rgb", metadata=metadata)
    mpp = read_image(path).mpp
    assert mpp == (None if expected is None else pytest.approx(expected))


def test_ome_size_without_unit_is_in_micrometres() -> None:
    xml = '<?xml version="1.0"?><OME><Image><ome:Pixels SizeX="1" PhysicalSizeX="0.2"/></Image></OME>'
    assert find_mpp_in_description(xml) == pytest.approx(0.2)
    assert find_mpp_in_description(xml.replace("0.2", "x")) is None
    unit = xml.replace('"0.2"', '"200" PhysicalSizeXUnit="nm"')
    assert find_mpp_in_description(unit) == pytest.approx(0.2)


@pytest.mark.parametrize("unit", ["micron", "\\u00B5m", "um"])
def test_imagej_scale_is_in_its_own_unit(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, imagej=True, resolution=(8.0, 8.0), metadata={"unit": unit})
    assert read_image(path).mpp == pytest.approx(0.125)


def test_an_ome_text_of_several_images_is_read_for_the_one_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for rgb, um in ((RGB[::2, ::2], 1.6), (RGB, 0.1), (RGB[:20], 0.4)):
            writer.write(rgb, photometric="rgb", metadata={"PhysicalSizeX": um, "PhysicalSizeY": um})
    assert read_image(path).mpp == pytest.approx(0.1)
    alone = '<OME><Pixels SizeX="8" SizeY="6" PhysicalSizeX="0.2"/><Pixels SizeX="80" SizeY="6"/></OME>'
    assert find_mpp_in_description(alone, size_px=(9, 6)) == pytest.approx(0.2)


def test_imagej_pixels_that_are_not_square_have_no_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, imagej=True, resolution=(10.0, 5.0), metadata={"unit": "um"})
    assert read_image(path).mpp is None


def test_imagej_inches_are_no_microscope(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, imagej=True, resolution=(72.0, 72.0), metadata={"unit": "inch"})
    assert read_image(path).mpp is None


def test_aperio_description() -> None:
    text = (
        "Aperio Image Library v11.2.1\n46000x32914 [0,100 46000x32814]|AppMag = 20|MPP = 0.4990|Left = 25.6"
    )
    assert find_mpp_in_description(text) == pytest.approx(0.499)
    assert find_mpp_in_description(text.replace("0.4990", "...")) is None
    assert find_mpp_in_description("a field") is None


@pytest.mark.parametrize(("dpi", "expected"), [(25_400 / 0.1, 0.1), (72, None), (300, None)])
def test_png_physical_pixel_size(tmp_path: Path, dpi: float, expected: float | None) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, dpi=(dpi, dpi))
    assert read_image(path).mpp == (None if expected is None else pytest.approx(expected, rel=1e-3))


@pytest.mark.parametrize(("dpi", "expected"), [(50_800, 0.5), (96, None)])
def test_jfif_density(tmp_path: Path, dpi: int, expected: float | None) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(path, dpi=(dpi, dpi))
    assert read_image(path).mpp == (None if expected is None else pytest.approx(expected))


def test_exif_resolution_is_used_where_jfif_states_a_screen(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 50_000.0, 50_000.0, 3
    Image.fromarray(RGB).save(path, dpi=(72, 72), exif=exif)
    assert read_image(path).mpp == pytest.approx(0.2)


def test_text_in_a_png_is_not_a_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngInfo()
    info.add_text("Comment", "MPP = 0.25")
    Image.fromarray(RGB).save(path, pnginfo=info)
    assert read_image(path).mpp_source is ScaleSource.UNKNOWN


def test_a_hostile_ome_text_takes_no_time() -> None:
    for text in ("<OME" + "<Pixels " * 200_000, "<OME" + "<a:Pixels" * 200_000, "<OME <" + "a" * 2_000_000):
        started = time.perf_counter()
        assert find_mpp_in_description(text) is None
        assert time.perf_counter() - started < 1
