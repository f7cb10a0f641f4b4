"""Drawn slides counted whole: cells against truth, tile sizes, workers, memory, time, and killed runs.

    python benchmarks/slide.py count 10000 30000  # truth, time and memory; --cells 500 beside --all
    python benchmarks/slide.py same 8200          # tile sizes, one process against Ray workers
    python benchmarks/slide.py kill 20            # SIGKILL at random points, two slides

A slide is laid of sixteen drawn tiles in a seeded order, with glass between, so that one of 30,000 pixels a
side is drawn in seconds and the place of every cell is known. Accuracy on drawn cells says nothing of real
smears.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import tifffile
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from erythron.synthetic.field import DrawnField, DrawnFieldSpec, draw_tile, make_textures

TILE_PX, STORED_PX, BANK = 1024, 256, 4
MPP, GLASS = 0.25, (232, 227, 239)
MATCHED_UM = 4.0
"""Distance of two centres of nuclei up to which they are of one cell: half of a nucleus."""


@dataclass(frozen=True)
class Slide:
    """A drawn slide with the centres of its cells, (N, 2) x and y in pixels."""

    path: Path
    side_px: int
    filled: float
    cells: NDArray[np.float64]


@cache
def draw_bank(seed: int) -> tuple[DrawnField, ...]:
    """Draw the tiles that slides of a seed are laid of."""
    spec = DrawnFieldSpec(BANK * TILE_PX, BANK * TILE_PX, mpp=MPP, seed=seed, cells_per_mm2=1500)
    textures = make_textures(seed, MPP)
    return tuple(draw_tile(spec, n // BANK, n % BANK, textures) for n in range(BANK**2))


def draw_slide(path: Path, side_px: int, share: float, seed: int = 1) -> Slide:
    """Write a pyramidal JPEG-tiled TIFF of smear and glass."""
    bank = draw_bank(seed)
    glass = np.full((TILE_PX, TILE_PX, 3), GLASS, np.uint8)
    rng, across = np.random.default_rng(seed), -(-side_px // TILE_PX)
    lay = np.where(rng.random((across, across)) < share, rng.integers(0, BANK**2, (across, across)), -1)
    pictures = [*(tile.rgb for tile in bank), glass]

    def cut(pictures: Sequence[NDArray[np.uint8]], step: int) -> Iterator[NDArray[np.uint8]]:
        tile, side = TILE_PX // step, -(-side_px // step)
        for top in range(0, side, STORED_PX):
            for left in range(0, side, STORED_PX):
                rows = [
                    np.concatenate(
                        [
                            pictures[lay[min(r, across - 1), min(c, across - 1)]]
                            for c in range(left // tile, (left + STORED_PX - 1) // tile + 1)
                        ],
                        axis=1,
                    )
                    for r in range(top // tile, (top + STORED_PX - 1) // tile + 1)
                ]
                whole = np.concatenate(rows)[top % tile :, left % tile :]
                yield np.ascontiguousarray(whole[:STORED_PX, :STORED_PX])

    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, step in enumerate((1, 4, 16)):
            shape = (TILE_PX // step, step, TILE_PX // step, step, 3)
            small = [p.reshape(shape).mean(axis=(1, 3)).astype(np.uint8) for p in pictures]
            writer.write(
                cut(small, step),
                shape=(-(-side_px // step), -(-side_px // step), 3),
                dtype=np.uint8,
                photometric="rgb",
                tile=(STORED_PX, STORED_PX),
                compression="jpeg",
                compressionargs={"level": 90},
                resolution=(1e4 / MPP / step, 1e4 / MPP / step),
                resolutionunit="CENTIMETER",
                metadata=None,
                subifds=None if number else 2,
                subfiletype=1 if number else 0,
            )
    places = []
    for row, column in np.argwhere(lay >= 0):
        number = lay[row, column]
        centres = bank[number].cells.select("x_px", "y_px").to_numpy()
        corner = np.array([number % BANK, number // BANK]) * TILE_PX
        places.append(centres - corner + np.array([column, row]) * TILE_PX)
    cells = np.concatenate(places)
    cells = cells[(cells < side_px).all(axis=1)]
    return Slide(path, side_px, float((lay >= 0).mean()), cells)


@dataclass(frozen=True)
class Measured:
    """What a run took: seconds on the clock, seconds of processor, and the most memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(*arguments: str) -> Measured:
    """Run erythron in a process of its own."""
    return measure_program("-m", "erythron", *arguments)


def measure_program(*arguments: str) -> Measured:
    """Run a program in Python in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with {status}")
    wall = time.perf_counter() - started
    return Measured(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def compare_with_truth(slide: Slide, out: Path) -> tuple[int, int, int]:
    """Return the cells that were counted, drawn cells that were missed, and counted ones that are none."""
    table = pl.read_csv(out / slide.path.stem / "cells.csv")
    if not table["cell_id"].is_unique().all():
        raise SystemExit("a cell was counted twice")
    found = table.select("x_px", "y_px").to_numpy()
    reach = MATCHED_UM / MPP
    missed = int((cKDTree(found).query(slide.cells)[0] > reach).sum())
    extra = int((cKDTree(slide.cells).query(found)[0] > reach).sum())
    return len(found), missed, extra


def read_results(folder: Path) -> dict[str, bytes]:
    """Return the results of every image of a run; the run's own files state times."""
    timed = {"run.json", "report.html"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in timed
    }


def count(folder: Path, sides: Sequence[int]) -> None:
    """Print cells against truth, time and memory of slides of several sizes."""
    print("| side, px | megapixels | of smear | drawn | counted | missed | no cell ", end="")
    print("| s | s a megapixel of smear | processor s a megapixel | peak, MiB | 500 cells, s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for side in sides:
        slide = draw_slide(folder / f"drawn-{side}.tif", side, min(0.6, 6000 / side))
        out = folder / f"whole-{side}"
        took = run("count", str(slide.path), "--out", str(out), "--all")
        found, missed, extra = compare_with_truth(slide, out)
        best = run("count", str(slide.path), "--out", str(folder / f"best-{side}"), "--cells", "500")
        smear = slide.filled * side**2 / 1e6
        print(
            f"| {side:,} | {side**2 / 1e6:.0f} | {smear:.0f} | {len(slide.cells)} | {found} | {missed} "
            f"| {extra} | {took.wall_s:.0f} | {took.wall_s / smear:.2f} | {took.cpu_s / smear:.2f} "
            f"| {took.peak_mib:.0f} | {best.wall_s:.1f} |",
            flush=True,
        )


def same(folder: Path, sides: Sequence[int]) -> None:
    """Print whether tile sizes and workers give the same bytes, and what each takes."""
    print("| side, px | how | s | processor s | same bytes as the first |")
    print("|---|---|---|---|---|")
    for side in sides:
        slide = draw_slide(folder / f"drawn-{side}.tif", side, 0.6)
        first: dict[str, bytes] | None = None
        for name, options in (
            ("tiles of 2048", ()),
            ("tiles of 1024", ("--tile-px", "1024")),
            ("tiles of 512", ("--tile-px", "512")),
            ("one Ray worker", ("--engine", "ray", "--workers", "1")),
            ("two Ray workers", ("--engine", "ray", "--workers", "2")),
        ):
            out = folder / f"same-{side}-{name.replace(' ', '-')}"
            took = run("count", str(slide.path), "--out", str(out), "--all", *options)
            found = read_results(out)
            first = first or found
            print(
                f"| {side:,} | {name} | {took.wall_s:.1f} | {took.cpu_s:.1f} | {found == first} |", flush=True
            )


def kill(folder: Path, times: Sequence[int]) -> None:
    """Kill a run of two slides at random points, continue it, and compare what it leaves."""
    slides = [draw_slide(folder / f"drawn-{n}.tif", 8200, 0.05, seed=n) for n in (1, 2)]
    arguments = ["count", *(str(slide.path) for slide in slides), "--all", "--tile-px", "1024"]
    took = run(*arguments, "--out", str(folder / "unbroken"))
    unbroken, out = read_results(folder / "unbroken"), folder / "killed"
    rng, killed = random.Random(1), 0  # noqa: S311 (points to kill at, no secret)
    while killed < times[0]:
        command = [sys.executable, "-m", "erythron", *arguments, "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.3, 0.7 * took.wall_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        if process.wait() == 0:
            check(out, unbroken)
            shutil.rmtree(out)
    run(*arguments, "--out", str(out))
    check(out, unbroken)
    print(f"killed {killed} times; results equal, no file left over", flush=True)


def check(out: Path, unbroken: dict[str, bytes]) -> None:
    """Compare a run that was killed and continued with an unbroken one, the lists of files too."""
    if read_results(out) != unbroken:
        raise SystemExit(f"{out}: differs from the unbroken run")


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["count", "same", "kill"])
    parser.add_argument("numbers", type=int, nargs="+", help="sides in pixels; of kill, how many times")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"count": count, "same": same, "kill": kill}[options.what](Path(folder), options.numbers)


if __name__ == "__main__":
    main()
