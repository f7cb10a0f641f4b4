"""Measure the review page: opening, keys, and that nothing acknowledged is lost.

Runs are made of copies of a field, see ``make_run``. In a browser
of this machine, for each number of cells: from the request of the page to the first picture of a cell on the
screen, and from a key press to the frame that shows its effect. Then a server is killed after each of 200
acknowledged changes and started again.

    python benchmarks/review.py FIELD.png --work DIR [--cells 2000 20000] [--kills 200]

prints tables of docs/results/review.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import shutil
import statistics
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.results.fingerprint import hash_image, hash_pixels
from erythron.results.record import read_record
from erythron.review_page.server import ServerOptions, serve_review

COUNTED = 4
"""Fields that are counted; the others repeat their results."""

KEYS = 200
"""Key presses that are timed."""

LONGEST_START_S = 60
"""A server that takes longer hangs."""

_WATCH = """() => {
  window.waits = [];
  addEventListener("keydown", () => {
    const start = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => window.waits.push(performance.now() - start)));
  }, true);
}"""
"""Two frames: what a handler changed is painted in the first one, and is on the screen at the next."""


def make_run(field: Path, cells: int, work: Path) -> Path:
    """Return a run of so many cells; one that is there is taken.

    Some copies of the field, each shifted round, are counted. A larger run repeats their results, each with a
    picture that differs in one pixel.
    """
    out, images = work / f"run-{cells}", work / f"images-{cells}"
    if (out / "whole").exists():
        return out
    images.mkdir(parents=True, exist_ok=True)
    rgb = np.asarray(Image.open(field).convert("RGB"))
    for copy in range(COUNTED):
        shift = (37 * copy % rgb.shape[0], 61 * copy % rgb.shape[1])
        Image.fromarray(np.roll(rgb, shift, (0, 1))).save(images / f"{copy:04d}.png", compress_level=1)
    count_images(find_images([images]), out, RunOptions(mpp=0.2526))
    found = sum(read_cells(path.parent).height for path in out.glob("*/cells.csv"))
    names = [str(images / f"{copy:04d}.png") for copy in range(COUNTED)]
    while found < cells:
        found += repeat_field(out, images, len(names))
        names.append(str(images / f"{len(names):04d}.png"))
    run = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**run, "inputs": names}))
    (out / "whole").touch()
    return out


def repeat_field(out: Path, images: Path, number: int) -> int:
    """Write the results of a counted field once more, as those of a picture with another pixel."""
    old, new = (images / f"{copy:04d}.png" for copy in (number % COUNTED, number))
    rgb = np.array(Image.open(old))
    rgb[0, 0] = (number % 251, number // 251, 7)
    Image.fromarray(rgb).save(new, compress_level=1)
    shutil.copytree(out / old.stem, out / new.stem)
    for name in ("cells.csv", "cells.geojson"):
        path = out / new.stem / name
        path.write_text(path.read_text().replace(str(old), str(new)))
    record = read_record(out / new.stem)
    if record is None:
        raise SystemExit(f"{old}: was not counted")
    update = {"image": str(new), "sha256": hash_image(new), "pixels_sha256": hash_pixels(rgb)}
    update["cells_sha256"] = hash_image(out / new.stem / "cells.csv")
    path = out / new.stem / "record.json"
    path.write_text(record.model_copy(update=update).model_dump_json(indent=2))
    return read_cells(out / new.stem).height


def start(run: Path) -> tuple[subprocess.Popen[str], str, float]:
    """Start the server; return process, link and seconds until it listens."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "erythron", "review", str(run), "--no-browser", "--reader", "bench"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    link = "" if process.stdout is None else process.stdout.readline().strip()
    if not re.match(r"http://", link):
        raise SystemExit(f"{run}: the server did not start")
    return process, link, time.perf_counter() - begun


def measure_page(run: Path) -> str:
    """Return a row of the table of opening and keys."""
    for path in run.glob("review.sqlite*"):
        path.unlink()
    process, link, listening = start(run)
    cells = sum(read_cells(path.parent).height for path in run.glob("*/cells.csv"))
    try:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(link)
            page.locator(".tile img[src]").first.wait_for(timeout=120_000)
            opened = []
            for _ in range(5):
                page.goto("about:blank")
                begun = time.perf_counter()
                page.goto(link.split("/enter")[0], wait_until="commit")
                page.locator(".tile img[src]").first.wait_for(timeout=120_000)
                page.evaluate("document.querySelector('.tile img[src]').decode()")
                opened.append(time.perf_counter() - begun)
            page.wait_for_timeout(3000)
            page.evaluate(_WATCH)
            for number in range(KEYS):
                page.keyboard.press("1234567890"[number % 10])
                page.wait_for_timeout(120)
            page.locator("#saved", has_text="All changes saved").wait_for()
            waits = sorted(page.evaluate("window.waits"))
            browser.close()
    finally:
        process.kill()
        process.wait()
    at = [waits[int(share * (len(waits) - 1))] for share in (0.5, 0.95, 1.0)]
    return (
        f"| {cells} | {listening:.1f} | {statistics.median(opened):.2f} ({max(opened):.2f}) | "
        f"{at[0]:.0f} | {at[1]:.0f} | {at[2]:.0f} |"
    )


def kill_after_each(run: Path, kills: int) -> str:
    """Kill the server after each acknowledged change; return in words what was lost and how long it took.

    The servers are forks of a process that has imported all and done nothing yet: a fork of this one, whose
    threads hold locks, would wait for them for ever.
    """
    for path in run.glob("review.sqlite*"):
        path.unlink()
    lost = 0
    begun, starts = time.perf_counter(), []
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["erythron.review_page.server"])
    for number in range(kills + 1):
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=serve_to, args=(there, run))
        started = time.perf_counter()
        process.start()
        there.close()
        if not here.poll(LONGEST_START_S):
            process.kill()
            raise SystemExit(f"{run}: the server did not start within {LONGEST_START_S} s")
        link = here.recv()
        starts.append(time.perf_counter() - started)
        with httpx.Client(base_url=link.split("/enter")[0], timeout=60) as client:
            client.get(link)
            client.headers["x-csrf-token"] = client.get("/api/run").json()["csrf"]
            cells = client.get("/api/specimens/0/cells").json()
            versions = sum(s["version"] for s in cells["standing"])
            lost += number - versions
            at = number % len(cells["cell_id"])
            seen = {(s["field"], s["subject"]): s["version"] for s in cells["standing"]}
            key = (cells["field"][at], cells["cell_id"][at])
            call = {"field": key[0], "cell_id": key[1], "seen": seen.get(key, 0)}
            called = "monocyte" if number % 2 else "lymphocyte"
            body = {"action": f"kill-{number}", "calls": [{**call, "called": called}]}
            client.post("/api/specimens/0/calls", json=body).raise_for_status()
            process.kill()
        process.join()
    return (
        f"{kills} kills, each right after an acknowledged change: {lost} changes lost. "
        f"{time.perf_counter() - begun:.0f} s in all, {statistics.median(starts):.2f} s a start."
    )


def serve_to(line: Connection, run: Path) -> None:
    """Serve a run and send the link once it listens."""
    serve_review(run, ServerOptions("bench"), line.send)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("field", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cells", type=int, nargs="*", default=[2000, 20_000])
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    print("| cells | server listens, s | first cell, s (slowest of 5) | key, ms: median | 95 % | most |")
    print("|---|---|---|---|---|---|")
    for cells in options.cells:
        print(measure_page(make_run(options.field, cells, options.work)), flush=True)
    if options.kills:
        small = make_run(options.field, 100, options.work)
        print(f"\n{kill_after_each(small, options.kills)}")


if __name__ == "__main__":
    main()
