"""Slides cut short and with flipped bytes: read, or refused by name; no other error, no endless loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

from tests.read.dicom import write_dicom
from tests.read.slides import TILE, make_pixels, write_aperio, write_ome

RGB = make_pixels(200, 260)
ROUNDS = 30
PROBED = 12
"""Rounds of DICOM: before OpenSlide reads a file of it, a process of its own tries to."""

# In a process of its own: a decoder in C that crashes takes no test along, and one that hangs is ended.
TRIAL = """
import logging, random, sys
from pathlib import Path
from erythron.errors import ErythronError
from erythron.read import kind, source
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
kind.MAX_PIXELS = source.MAX_PIXELS = 1000
path, rounds, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(7)
content, refused = path.read_bytes(), 0
for n in range(rounds):
    broken = bytearray(content)
    if n % 3 == 0 or sys.argv[3] == "dicom":  # flipped bytes in DICOM can crash OpenSlide itself
        broken = broken[: rng.randrange(len(broken))]
    else:
        for _ in range(rng.choice((1, 8, 64))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
    path.write_bytes(broken)
    try:
        slide = source.open_source(path)
        slide.read_region(0, 0, min(slide.width_px, 300), min(slide.height_px, 300))
        if isinstance(slide, source.Slide) and slide.width_px * slide.height_px < 10**8:
            slide.read_overview(5000)
    except ErythronError as error:
        assert path.name in str(error), error
        refused += 1
print(refused)
"""


def write_slide(kind: str, folder: Path) -> Path:
    if kind == "aperio":
        return write_aperio(folder / "a.svs", RGB)
    if kind == "ome":
        return write_ome(folder / "a.ome.tif", RGB, compression="zlib")
    if kind == "dicom":
        return write_dicom(folder, RGB)[0]
    compression, options = kind.split("-")
    layout = {"tile": (TILE, TILE)} if options == "tiles" else {"rowsperstrip": 16}
    tifffile.imwrite(folder / "a.tif", RGB, photometric="rgb", compression=compression, **layout)
    return folder / "a.tif"


@pytest.mark.parametrize(
    "kind", ["aperio", "ome", "dicom", "jpeg2000-tiles", "jpeg-tiles", "lzw-strips", "zlib-strips"]
)
def test_broken_slides_are_read_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    if kind == "dicom":
        pytest.importorskip("openslide")
    path, rounds = write_slide(kind, tmp_path), PROBED if kind == "dicom" else ROUNDS
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, str(path), str(rounds), kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Every cut is found, unless it took nothing but padding.
    assert int(done.stdout) >= (rounds - 2 if kind == "dicom" else rounds // 3 - 2)
