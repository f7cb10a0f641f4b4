"""One table of speed: each part of erythron beside a named peer in the same run, and how cost grows.

    make bench        # python benchmarks/speed.py --out docs/results/speed.md

The measurements are those of ``inference.py``, ``segmentation.py`` (scikit-image and, where its weights are,
the U-Net of ``cbc``, see ``peers.py``), ``slide.py`` and ``training.py``, cut to what fifteen minutes on two
cores have room for; start-up is measured here. Peer and erythron take turns, so that a busy machine slows
both. The page states the load: on a machine that others use seconds say little, and ratios more.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import openslide
import torch
from data_folder import add_data_option
from inference import take_turns, time_classifiers
from numpy.typing import NDArray
from peers import CBC_WEIGHTS, load_cbc, plain
from slide import Measured, draw_slide
from training import make_rows, time_bare, time_training

from erythron import __version__
from erythron.bundle.folder import load_bundle
from erythron.files.writing import write_file
from erythron.pipeline.field import outline_field
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.tiff_slide import TiffSlide
from erythron.segment.segmenter import load_segmenter
from erythron.train.classifier.fine_tuned.cell_set import prepare_cells as keep_cells
from erythron.train.recipe_file import load_fine_tuned, parse_settings, vary_recipe
from erythron.train.shared.hardware import Hardware

SIDES = (500, 1000, 2000, 4000, 8000)
"""Of drawn smears, in pixels: 0.25, 1, 4, 16 and 64 megapixels."""

MPP = 0.25
REGIONS, REGION_PX = 40, 1024
TRAIN_STEPS, TRAIN_TURNS = 12, 2

PLAIN_COUNT = """
import sys
import numpy as np, tifffile
from skimage.measure import regionprops_table
sys.path.insert(0, sys.argv[2])
from peers import plain
TILE, SEEN = 2048, 64
rgb = tifffile.imread(sys.argv[1])
found = 0
for top in range(0, rgb.shape[0], TILE):
    for left in range(0, rgb.shape[1], TILE):
        part = rgb[max(0, top - SEEN) : top + TILE + SEEN, max(0, left - SEEN) : left + TILE + SEEN]
        nucleus, cell = plain(part)
        found += len(regionprops_table(nucleus, properties=("area", "centroid"))["area"])
print(found)
"""
"""What one would write with scikit-image to count a smear: tiles with an overlap, nuclei, their areas."""

PLAIN_START = "import torch, timm"
"""What a script in PyTorch does before it makes the two encoders of the published network."""


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        what: is measured, with its unit.
        ours: of erythron.
        peer: name of the peer.
        theirs: of the peer.
        is_rate: whether more is faster.
    """

    what: str
    ours: float
    peer: str
    theirs: float
    is_rate: bool = True

    def format(self) -> str:
        """Return it as Markdown; the ratio is how many times as fast erythron is."""
        ratio = self.ours / self.theirs if self.is_rate else self.theirs / self.ours
        told = float(f"{ratio:.2g}")  # 760, not 7.6e+02
        return f"| {self.what} | {self.ours:.3g} | {self.peer} | {self.theirs:.3g} | {told:g} |"


@dataclass(frozen=True)
class Grown:
    """What a smear of one size takes, as a process of its own."""

    megapixels: float
    ours: Measured
    theirs: Measured

    def format(self) -> str:
        """Return it as Markdown."""
        size, ours, theirs = self.megapixels, self.ours, self.theirs
        return (
            f"| {size:g} | {ours.wall_s:.1f} | {ours.wall_s / size:.2f} | {ours.cpu_s / size:.2f} "
            f"| {ours.peak_mib:.0f} | {theirs.wall_s:.1f} | {theirs.cpu_s / size:.2f} "
            f"| {theirs.peak_mib:.0f} | {theirs.wall_s / ours.wall_s:.2g} |"
        )


def time_inference(data: Path) -> Iterator[Line]:
    """Yield cells a second of the classifiers on the cells of the real field."""
    bundle = load_bundle()
    segmenter = load_segmenter(bundle)
    image = read_image(data / "marrow-field" / "marrow-field-left.png")
    field = outline_field(image, lambda: segmenter, bundle.card.framing)
    rates = time_classifiers(field, cells=256, batch=8, repeats=3)
    what = "inference: cells a second"
    yield Line(what, rates.ours, "the published network (Swin-B, VGG19-BN) in PyTorch", rates.torch)
    yield Line(what, rates.ours, "the same in OpenVINO", rates.same_runtime)


def time_segmentation(data: Path, drawn: NDArray[np.uint8], cbc: Path) -> Iterator[Line]:
    """Yield megapixels a second of segmentation, of the real field and of a drawn one."""
    find = load_cbc(cbc) if cbc.is_file() else None
    bundle = load_bundle()
    segmenter = load_segmenter(bundle)
    real = read_image(data / "marrow-field" / "marrow-field-left.png")
    smears = {"real field": real, "drawn smear": SmearImage("drawn", drawn, MPP, ScaleSource.METADATA)}
    for name, image in smears.items():

        def ours(image: SmearImage = image) -> object:
            return outline_field(image, lambda: segmenter, bundle.card.framing)

        size = image.width_px * image.height_px / 1e6
        what = f"segmentation: megapixels a second, {name} of {size:.1f}"
        peers: dict[str, Callable[[], object]] = {
            "scikit-image: multi-Otsu, watershed": partial(plain, image.rgb)
        }
        if find is not None:
            peers["U-Net of cbc 1.1.0 in PyTorch"] = partial(find, image.rgb)
        times = take_turns(3, ours, *peers.values())
        for peer, taken in zip(peers, times[1:], strict=True):
            yield Line(what, size / times[0], peer, size / taken)


def time_regions(path: Path) -> Line:
    """Return megapixels a second of regions read at random places of a slide, opened anew each time."""
    with openslide.OpenSlide(path) as slide:
        places = (
            np.random.default_rng(0).integers(0, min(slide.dimensions) - REGION_PX, (REGIONS, 2)).tolist()
        )

    def read_ours() -> None:
        slide = TiffSlide(path)
        for x, y in places:
            slide.read_region(x, y, REGION_PX, REGION_PX)

    def read_theirs() -> None:
        with openslide.OpenSlide(path) as slide:
            for x, y in places:
                np.asarray(slide.read_region((x, y), 0, (REGION_PX, REGION_PX)).convert("RGB"))

    times = take_turns(3, read_ours, read_theirs)
    size = REGIONS * REGION_PX**2 / 1e6
    what = "slide: megapixels a second, regions of 1024 px"
    return Line(what, size / times[0], "OpenSlide", size / times[1])


def time_startup(small: Path) -> Iterator[Line]:
    """Yield seconds of commands from a cold start, interpreter and imports included."""

    def start(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True)

    def count() -> None:
        with tempfile.TemporaryDirectory() as out:
            start("-m", "erythron", "count", str(small), "--out", out)()

    version, counted, torch_alone, both = take_turns(
        3, start("-m", "erythron", "--version"), count, start("-c", "import torch"), start("-c", PLAIN_START)
    )
    what = "startup: seconds, `erythron --version`"
    yield Line(what, version, "`import torch`", torch_alone, is_rate=False)
    what = "startup: seconds, `erythron count` of 0.25 megapixels, all of it"
    yield Line(what, counted, "`import torch, timm`, nothing counted", both, is_rate=False)


def time_loop(folder: Path) -> Line:
    """Return images a second of the training loop, beside a bare loop over the same network."""
    settings = parse_settings(["network.fusion=image"]) | {"fit.epochs": 2}
    recipe = vary_recipe(load_fine_tuned("small"), settings)
    rows = make_rows(folder, recipe.fit.batch_size * TRAIN_STEPS)
    cache = folder / "cells"
    keep_cells(rows, "label", recipe.inputs, cache)
    hardware = Hardware(precision="32-true", threads=2, workers=2)
    bare, trained = [], []
    for turn in range(TRAIN_TURNS):
        bare.append(time_bare(recipe, rows, cache, TRAIN_STEPS, "32-true"))
        trained.append(time_training(recipe, rows, folder / f"run{turn}", cache, hardware))
    what = "training: images a second with loading, augmentation, log and checkpoints"
    return Line(what, median(trained), "bare PyTorch loop on one batch in memory", median(bare))


def grow(folder: Path, smears: dict[int, Path]) -> Iterator[Grown]:
    """Yield what a whole count takes at each size; small ones are the best of two."""
    here = str(Path(__file__).parent)
    for side, path in smears.items():
        pairs = []
        for turn in range(1 if side >= SIDES[-2] else 2):
            out = folder / f"grown-{side}-{turn}"
            ours = measure_apart("-m", "erythron", "count", str(path), "--all", "--out", str(out))
            pairs.append((ours, measure_apart("-c", PLAIN_COUNT, str(path), here)))
        ours, theirs = (min(found, key=lambda m: m.wall_s) for found in zip(*pairs, strict=True))
        yield Grown(side**2 / 1e6, ours, theirs)


def measure_apart(*arguments: str) -> Measured:
    """Measure a program by a process that is small itself: Linux counts its parent's memory as a child's."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from slide import measure_program; "
        "m = measure_program(*sys.argv[2:]); print(m.wall_s, m.cpu_s, m.peak_mib)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Measured(*map(float, done.stdout.split()))


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say on stderr what is measured, and how long that took."""
    started = time.perf_counter()
    sys.stderr.write(f"{what} ... ")
    sys.stderr.flush()
    yield
    sys.stderr.write(f"{time.perf_counter() - started:.0f} s\n")


def describe(lines: list[Line], grown: list[Grown], load: tuple[float, float], took_s: float) -> str:
    """Return the page."""
    cores = os.cpu_count() or 1
    quiet = max(load[0], load[1] - cores) < 1
    return "\n".join(
        [
            "# Speed",
            "",
            f"`make bench` makes this page anew, here in {took_s / 60:.0f} minutes. erythron {__version__}, "
            f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores of {platform.machine()}, Python",
            f"{platform.python_version()}, PyTorch {torch.__version__}. "
            + ("Nothing else was running" if quiet else "Others used the machine at the same time")
            + f": load {load[0]:.1f} before, {load[1]:.1f} at the end. Both sides of a line take turns;",
            "the ratio is how many times as fast erythron is.",
            "",
            "| what | erythron | peer | peer's | ratio |",
            "|---|---|---|---|---|",
            *(line.format() for line in lines),
            "",
            "Speed is not all: what the segmentations find is compared in [segmentation](segmentation.md), "
            "calls of the published network in",
            "[default model](default-model.md). The bare loop sees one augmented batch again and again.",
            "",
            "## How cost grows",
            "",
            "A drawn smear that is full of cells (1,500 a square millimetre, 0.25 µm a pixel): "
            "`erythron count` from a cold start to the last file, and",
            "scikit-image over the same file in tiles of 2048 px, which outlines nuclei and names none.",
            "",
            "| megapixels | erythron, s | s a megapixel | processor s a megapixel | peak, MiB "
            "| scikit-image, s | processor s a megapixel | peak, MiB | ratio |",
            "|---|---|---|---|---|---|---|---|---|",
            *(one.format() for one in grown),
            "",
            "Some two seconds of each count are start-up. Over 64 megapixels an image is a slide, whose "
            "memory does not grow: [tiles](tiles.md).",
            "",
        ]
    )


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="page to write")
    parser.add_argument("--cbc-weights", type=Path, default=CBC_WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    # Python keeps what it has compiled, as it does for a user.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    started, before = time.perf_counter(), os.getloadavg()[1]
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with told("drawing"):
            smears = {side: draw_slide(folder / f"drawn-{side}.tif", side, 1.0).path for side in SIDES}
        with told("startup"):
            lines += time_startup(smears[SIDES[0]])
        with told("inference"):
            lines += time_inference(options.data)
        with told("segmentation"):
            drawn = read_image(smears[SIDES[1]]).rgb
            lines += time_segmentation(options.data, drawn, options.cbc_weights)
        with told("slide"):
            lines.append(time_regions(smears[SIDES[-1]]))
        with told("growth"):
            grown = list(grow(folder, smears))
        with told("training"):
            lines.append(time_loop(folder))
    took = time.perf_counter() - started
    write_file(options.out, describe(lines, grown, (before, os.getloadavg()[2]), took))


if __name__ == "__main__":
    main()
