"""Memory and page of a run over many fields: what grows with their number, and what does not.

    python benchmarks/run_size.py [--fields 50 1000] [--side 192]

Counts folders of drawn fields, each of a seed of its own, with the command as it is used, and prints for each
number of fields the peak memory of the process, the time of a field, the size of ``report.html``, and how
long headless Chromium takes to open that page, to toggle a class, and to jump to its end. Drawn fields say
nothing of accuracy.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from erythron.synthetic.field import DrawnFieldSpec, draw_field


def draw_fields(folder: Path, count: int, side: int) -> None:
    """Write ``count`` fields of ``side`` pixels a side."""
    folder.mkdir()
    for seed in range(count):
        Image.fromarray(draw_field(DrawnFieldSpec(width_px=side, height_px=side, seed=seed)).rgb).save(
            folder / f"field-{seed:04d}.png"
        )


def count_fields(folder: Path, out: Path) -> tuple[float, float]:
    """Run ``erythron count`` and return its seconds and its peak memory in MiB."""
    command = [sys.executable, "-m", "erythron", "count", str(folder), "--out", str(out), "--mpp", "0.25"]
    start = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"erythron count failed on {folder}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def open_page(path: Path) -> tuple[float, float, float] | None:
    """Return milliseconds to open the page, to toggle a class and to reach its end; None without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    steps = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        toggle = page.locator("input[type=checkbox]").first
        for step in (
            lambda: page.goto(path.as_uri()),
            lambda: toggle.click() if toggle.count() else None,
            lambda: page.evaluate(
                "new Promise(done => {scrollTo(0, document.body.scrollHeight); requestAnimationFrame(done)})"
            ),
        ):
            start = time.perf_counter()
            step()
            steps.append(1000 * (time.perf_counter() - start))
        browser.close()
    return steps[0], steps[1], steps[2]


def main() -> None:
    """Count folders of the given sizes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fields", type=int, nargs="+", default=[50, 1000])
    parser.add_argument("--side", type=int, default=192)
    options = parser.parse_args()
    print(
        "| fields | peak memory, MiB | seconds a field | page, MiB | open, ms | toggle, ms | to the end, ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in options.fields:
        with tempfile.TemporaryDirectory() as name:
            folder, out = Path(name) / "fields", Path(name) / "out"
            draw_fields(folder, count, options.side)
            seconds, memory = count_fields(folder, out)
            page = out / "report.html"
            opened = open_page(page)
            shown = "- | - | -" if opened is None else " | ".join(f"{ms:.0f}" for ms in opened)
            size = page.stat().st_size / 2**20
            print(f"| {count} | {memory:.0f} | {seconds / count:.2f} | {size:.2f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
