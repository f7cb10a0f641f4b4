"""Reading files: every supported kind exactly, every bad one by name, cause and next step."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import erythron.read.fields as fields
from erythron.errors import ImageReadError, UsageError
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource
from erythron.read.inputs import OWN_PICTURE
from erythron.results.fingerprint import hash_image

RGB = np.random.default_rng(7).integers(0, 256, (24, 32, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def smooth_image() -> np.ndarray:
    """A slow gradient, which JPEG keeps to within a few levels."""
    y, x = np.mgrid[:64, :80]
    return np.stack([100 + x, 200 - y, 120 + (x + y) // 2], axis=-1).astype(np.uint8)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_one_colour_png(path: Path, side: int) -> None:
    """A valid 1-bit PNG, compressed row by row."""
    packer = zlib.compressobj(1)
    row = bytes((side + 7) // 8 + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_lossless_rgb_is_exact(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    image = read_image(str(path))
    assert image.name == str(path)
    assert image.rgb.dtype == np.uint8
    assert image.mpp is None
    assert image.mpp_source is ScaleSource.UNKNOWN
    np.testing.assert_array_equal(image.rgb, RGB)


def test_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth_image()).save(path, quality=95)
    assert np.abs(read_image(path).rgb.astype(int) - smooth_image()).max() <= 6


def test_kind_is_told_by_content_not_by_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(path, format="PNG")
    np.testing.assert_array_equal(read_image(path).rgb, RGB)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_and_bilevel(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(GREY).save(path)
    np.testing.assert_array_equal(read_image(path).rgb, as_rgb(GREY))
    Image.fromarray(GREY > 127).save(path)
    np.testing.assert_array_equal(read_image(path).rgb, as_rgb(np.where(GREY > 127, 255, 0)))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_palette(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    palette = Image.fromarray(RGB).quantize(32)
    palette.save(path)
    np.testing.assert_array_equal(read_image(path).rgb, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparency_is_laid_on_white(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:, :8] = 0
    alpha[:, 8:16] = 128
    Image.fromarray(np.dstack([RGB, alpha])).save(path)
    rgb = read_image(path).rgb
    assert (rgb[:, :8] == 255).all()
    expected = 255 + (RGB[:, 8:16].astype(float) - 255) * 128 / 255
    assert np.abs(rgb[:, 8:16] - expected).max() <= 1
    np.testing.assert_array_equal(rgb[:, 16:], RGB[:, 16:])


def test_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (20, 10)), mode="L").convert("P")
    palette.save(path, transparency=1)
    rgb = read_image(path).rgb
    assert (rgb[:, 1::2] == 255).all()
    assert (rgb[:, ::2] == 0).all()


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cmyk = Image.fromarray(smooth_image()).convert("CMYK")
    cmyk.save(path, **({"quality": 95} if suffix == "jpg" else {}))
    assert np.abs(read_image(path).rgb.astype(int) - smooth_image()).max() <= 8


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    quadrants = np.full((32, 48, 3), 250, np.uint8)
    quadrants[:16, :24] = (200, 30, 30)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(quadrants).save(path, exif=exif)
    image = read_image(path)
    rgb = image.rgb
    assert image.orientation == orientation
    assert rgb.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    for place in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert (rgb[place][1] < 100) == (place == corner[orientation])


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_tiff_is_scaled_by_its_significant_bits(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.tif"
    deep = RGB.astype(np.uint16) << (bits - 8) | 3
    deep[0, 0] = 2**bits - 1
    tifffile.imwrite(path, deep, photometric="rgb")
    expected = RGB.copy()
    expected[0, 0] = 255
    np.testing.assert_array_equal(read_image(path).rgb, expected)
    tifffile.imwrite(path, deep[..., 0], photometric="minisblack", compression="zlib")
    np.testing.assert_array_equal(read_image(path).rgb, as_rgb(expected[..., 0]))


def test_stated_significant_bits_overrule_the_brightest_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    dark = np.full((20, 20), 1000, np.uint16)
    tifffile.imwrite(path, dark, photometric="minisblack", metadata={"axes": "YX", "SignificantBits": 12})
    assert (read_image(path).rgb == 1000 >> 4).all()
    other = tmp_path / "b.tif"
    tifffile.imwrite(other, dark, photometric="minisblack", extratags=[(281, "H", 1, 4095, True)])
    assert (read_image(other).rgb == 1000 >> 4).all()


def test_deep_tiff_of_every_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    deep = RGB.astype(np.uint16) * 257
    deep[0, 0] = 65535
    expected = (deep >> 8).astype(np.uint8)
    tifffile.imwrite(path, np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path).rgb, expected)
    tifffile.imwrite(path, 65535 - deep[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path).rgb, as_rgb(expected[..., 0]))
    alpha = np.full((24, 32, 1), 65535, np.uint16)
    alpha[1:] = 0
    tifffile.imwrite(path, np.dstack([deep, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(path).rgb[0], expected[0])
    assert (read_image(path).rgb[1:] == 255).all()
    tifffile.imwrite(path, np.dstack([deep, alpha * 0]), photometric="separated")
    assert np.abs(read_image(path).rgb.astype(int) - (255 - expected)).max() <= 1
    tifffile.imwrite(path, deep, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_array_equal(read_image(path).rgb, np.rot90(expected, -1))
    with tifffile.TiffWriter(path) as writer:
        for plane in np.moveaxis(deep, -1, 0):
            writer.write(plane, photometric="minisblack", extratags=[(274, "H", 1, 6, True)], metadata=None)
    np.testing.assert_array_equal(read_image(path).rgb, np.rot90(expected, -1))


def test_deep_png_keeps_its_upper_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY.astype(np.uint16) * 257).save(path)
    np.testing.assert_array_equal(read_image(path).rgb, as_rgb(GREY))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_is_exact(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).save(path, compression=compression)
    np.testing.assert_array_equal(read_image(path).rgb, RGB)


def test_tiff_of_several_pages_gives_the_largest_first(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(RGB[:16, :16], photometric="rgb")
        writer.write(RGB, photometric="rgb", resolution=(5e4, 5e4), resolutionunit="CENTIMETER")
        writer.write(255 - RGB, photometric="rgb")
    image = read_image(path)
    np.testing.assert_array_equal(image.rgb, RGB)
    assert image.mpp == pytest.approx(0.2)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_pyramidal_tiff_gives_its_base(tmp_path: Path, bigtiff: bool) -> None:
    path = tmp_path / "a.tif"
    base = np.tile(RGB, (6, 4, 1))
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        writer.write(base, photometric="rgb", tile=(64, 64), subifds=1)
        writer.write(base[::2, ::2], photometric="rgb", tile=(64, 64), subfiletype=1)
    np.testing.assert_array_equal(read_image(path).rgb, base)


def test_icc_profile_is_converted(tmp_path: Path) -> None:
    grey = np.full((20, 20), 60, np.uint8)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    path = tmp_path / "a.png"
    Image.fromarray(as_rgb(grey)).save(path, icc_profile=lab)
    assert (read_image(path).rgb == 60).all(), "a profile of another colour model must be left alone"
    Image.fromarray(as_rgb(grey)).save(path, icc_profile=b"nonsense" * 20)
    assert (read_image(path).rgb == 60).all()
    swapped = make_swapped_profile()
    rgb = np.tile(np.array([200, 100, 50], np.uint8), (20, 20, 1))
    Image.fromarray(rgb).save(path, icc_profile=swapped)
    expected = np.array([50, 100, 200])
    assert np.abs(read_image(path).rgb.astype(int) - expected).max() <= 3


def make_swapped_profile() -> bytes:
    """An sRGB profile renamed, with the primaries of red and blue exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"####").replace(b"bXYZ", b"rXYZ").replace(b"####", b"bXYZ")
    text = "sRGB built-in"
    for encoding in ("ascii", "utf-16-be"):
        swapped = swapped.replace(text.encode(encoding), "swap built-in".encode(encoding))
    return swapped


def test_given_scale_wins_over_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, dpi=(254_000, 254_000))
    assert read_image(path).mpp_source is ScaleSource.METADATA
    image = read_image(path, mpp=0.33)
    assert (image.mpp, image.mpp_source) == (0.33, ScaleSource.OPTION)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 0.001, 11.0, float("nan"), float("inf")])
def test_impossible_scale_is_wrong_usage(tmp_path: Path, mpp: float) -> None:
    with pytest.raises(UsageError, match=r"0\.01 to 10"):
        read_image(tmp_path / "a.png", mpp=mpp)


def assert_refused(path: Path, cause: str) -> None:
    with pytest.raises(ImageReadError, match=cause) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert ";" in message, "cause and next step"
    assert "\n" not in message


def test_missing_folder_and_empty_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.png", "no such file")
    assert_refused(tmp_path / "no" / "folder" / "none.png", "no such file")
    assert_refused(tmp_path, "folder")
    empty = tmp_path / "empty.png"
    empty.touch()
    assert_refused(empty, "empty")
    fifo = tmp_path / "pipe.png"
    os.mkfifo(fifo)
    assert_refused(fifo, "not a regular file")


def test_forbidden_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything

        def refuse(*args: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert_refused(path, "not permitted")


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.jpg", {}),
        ("p.jpg", {"progressive": True}),
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("z.tif", {"compression": "tiff_deflate"}),
        ("l.tif", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, name: str, save: dict[str, object], kept: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **save)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert_refused(path, "truncated")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_truncated_tiff_with_its_directory_first_is_refused(
    tmp_path: Path, kept: float, tile: tuple[int, int] | None
) -> None:
    path = tmp_path / "a.tif"
    for dtype in (np.uint8, np.uint16):
        noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(dtype)
        tifffile.imwrite(path, noise, photometric="rgb", tile=tile)
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        assert_refused(path, "truncated")


def test_other_content_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("Zelle 1: früher Erythroblast\n" * 20)
    assert_refused(text, "text, not an image.*JPEG, PNG, WebP, BMP and TIFF")
    gif = tmp_path / "a.gif"
    Image.fromarray(GREY).save(gif)
    assert_refused(gif, "GIF.*JPEG, PNG, WebP, BMP and TIFF")
    noise = tmp_path / "noise.tif"
    noise.write_bytes(bytes(range(256)))
    assert_refused(noise, "no image of a known format")
    floats = tmp_path / "float.tif"
    tifffile.imwrite(floats, np.zeros((20, 20), np.float32))
    assert_refused(floats, "float32")
    channels = tmp_path / "five.tif"
    tifffile.imwrite(
        channels, np.zeros((20, 20, 5), np.uint16), photometric="minisblack", planarconfig="contig"
    )
    assert_refused(channels, "5 samples")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_tiny_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (1, 1)).save(path)
    assert_refused(path, "1x1 pixels are too small")
    Image.new("RGB", (400, 15)).save(path)
    assert_refused(path, "400x15 pixels are too small")
    Image.new("RGB", (16, 16)).save(path)
    assert read_image(path).rgb.shape == (16, 16, 3)


def test_huge_image_is_refused_from_its_header_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    write_one_colour_png(path, 30_000)
    assert path.stat().st_size < 1_000_000
    code = (
        "import resource, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "from PIL import Image\n"
        "from erythron.errors import ImageReadError\n"
        "from erythron.read.fields import read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, limit = peak(), Image.MAX_IMAGE_PIXELS\n"
        "try:\n    read_image(sys.argv[1])\n"
        "except ImageReadError as error:\n    print(error)\n"
        "assert Image.MAX_IMAGE_PIXELS == limit\n"
        "scale = 1024 if sys.platform == 'darwin' else 1\n"
        "print((peak() - before) // scale)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, grown_kib = run.stdout.splitlines()
    assert message.startswith(f"{path}: 30000x30000 pixels are too large")
    assert int(grown_kib) < 20_000
    assert run.stderr == ""


def test_huge_tiff_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tile = np.zeros((1024, 1024, 3), np.uint8)
    tifffile.imwrite(
        path,
        (tile for _ in range(100)),
        shape=(10_000, 10_000, 3),
        dtype=np.uint8,
        tile=(1024, 1024),
        photometric="rgb",
        compression="zlib",
    )
    assert_refused(path, "10000x10000 pixels are too large")


def test_limit_is_on_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fields.MAX_PIXELS == 64_000_000
    path = tmp_path / "a.bmp"
    Image.fromarray(RGB).save(path)
    monkeypatch.setattr(fields, "MAX_PIXELS", 24 * 32)
    assert read_image(path).rgb.shape == RGB.shape
    monkeypatch.setattr(fields, "MAX_PIXELS", 24 * 32 - 1)
    assert_refused(path, "too large")


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a.jpg", "a.png", "a.bmp", "a.tif", "deep.tif"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_damaged_bytes_give_an_image_or_a_named_refusal(
    tmp_path: Path, name: str, damage: list[tuple[float, int]]
) -> None:
    path = tmp_path / name
    if name == "deep.tif":
        tifffile.imwrite(path, RGB.astype(np.uint16) * 257, photometric="rgb", compression="zlib")
    else:
        Image.fromarray(RGB).save(path)
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[int(place * len(content))] = value
    path.write_bytes(bytes(content))
    try:
        outcome = str(read_image(path).rgb.shape[2])
    except ImageReadError as error:
        outcome = str(error)
    assert outcome == "3" or outcome.startswith(f"{path}: ")


def test_an_alpha_channel_that_nobody_filled_is_no_transparency(tmp_path: Path) -> None:
    for suffix in ("png", "tif", "webp"):
        path = tmp_path / f"a.{suffix}"
        options = {"lossless": True, "exact": True} if suffix == "webp" else {}
        Image.fromarray(np.dstack([RGB, np.zeros((24, 32), np.uint8)])).save(path, **options)
        np.testing.assert_array_equal(read_image(path).rgb, RGB)


def test_webp_is_read_and_an_animation_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.fromarray(RGB).save(path, lossless=True)
    np.testing.assert_array_equal(read_image(path).rgb, RGB)
    Image.fromarray(RGB).save(path, save_all=True, append_images=[Image.fromarray(255 - RGB)])
    assert_refused(path, "several pictures")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        assert_refused(path, "not a regular file")
        with pytest.raises(ImageReadError, match="not a regular file"):
            hash_image(path)


@pytest.mark.parametrize("name", ["a[1]*?.png", "b\udcff.png", "é" * 123 + "a.png", "two\nlines.png"])
def test_every_name_is_read_and_its_messages_are_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert len(os.fsencode(name)) <= 251
    with pytest.raises(ImageReadError) as caught:
        read_image(path)
    assert len(str(caught.value).encode().splitlines()) == 1
    Image.fromarray(RGB).save(path)
    found = read_image(path)
    np.testing.assert_array_equal(found.rgb, RGB)
    found.name.encode()


def test_a_picture_that_erythron_made_is_refused(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text(OWN_PICTURE, "overlay.png")
    Image.fromarray(RGB).save(tmp_path / "copy.png", pnginfo=text)
    assert_refused(tmp_path / "copy.png", "erythron made this picture")
    four = Image.fromarray(np.dstack([RGB, RGB[..., 0]]), mode="CMYK")
    four.save(tmp_path / "four.tif", compression="tiff_deflate", tiffinfo={270: f"{OWN_PICTURE}: {'0' * 64}"})
    assert_refused(tmp_path / "four.tif", "erythron made this picture")
