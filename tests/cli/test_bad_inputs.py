import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image
from tests.ahead import Ended

from erythron.synthetic.field import DrawnFieldSpec, draw_field


def write_huge_png(path: Path, side: int) -> None:
    """Write a grey PNG of one colour without holding its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(1)
    row = bytes(side + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def prepare(place: Path) -> list[str | Path]:
    """Return the command that counts good and bad images, and one that is not there."""
    folder = place / "mixed"
    folder.mkdir()
    rgb = draw_field(DrawnFieldSpec(400, 300, seed=1)).rgb
    good = Image.fromarray(rgb)
    good.save(folder / "good.png")
    tifffile.imwrite(folder / "sixteen.tif", rgb.astype(np.uint16) * 257, photometric="rgb")
    good.convert("CMYK").save(folder / "cmyk.jpg")
    good.save(folder / "truncated.jpg")
    whole = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("these are words\n")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    write_huge_png(folder / "huge.png", 30000)
    command = [sys.executable, "-m", "erythron", "count"]
    return [*command, folder, place / "absent.png", "--out", place / "out"]


@pytest.mark.ahead(start=prepare)
def test_the_good_ones_are_counted_and_each_bad_one_is_named(ahead: Ended) -> None:
    assert ahead.returncode == 1, ahead.stderr
    assert ahead.peak_gib < 3
    out = ahead.folder / "out"
    summary = pl.read_csv(out / "summary.csv")
    by_name = {Path(image).name: status for image, status in summary.select("image", "status").iter_rows()}
    assert by_name == {
        "good.png": "done", "sixteen.tif": "repeated", "cmyk.jpg": "done",
        "truncated.jpg": "failed", "empty.png": "failed", "text.png": "failed",
        "dot.png": "failed", "huge.png": "failed", "absent.png": "failed",
    }  # fmt: skip
    for name, status in by_name.items():
        named = [line for line in ahead.stderr.splitlines() if line.startswith("failed: ") and name in line]
        assert len(named) == (status == "failed"), name
    assert "Traceback" not in ahead.stderr
    assert "unforeseen" not in ahead.stderr
    cells = {name: pl.read_csv(out / name / "cells.csv").height for name in ("good", "sixteen")}
    assert cells["good"] == cells["sixteen"] > 0


def test_no_image_at_all_is_wrong_usage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "erythron", "count"]
    result = subprocess.run(
        [*command, str(tmp_path), "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2
    assert str(tmp_path) in result.stderr
