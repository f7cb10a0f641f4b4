"""Counts that are killed, run in pairs into one folder, or meet a full disk: what the rerun leaves.

Each disturbed count is given again, undisturbed; its folder must then hold what an unbroken count leaves, and
no partial file. Ctrl-C and SIGTERM must end it with status 130, or 0 where it was done, and leave no partial
file. Kills fall at random moments from the start of the process to a little after its usual end, so that some
hit the page and the tables of the run. A full disk is a small tmpfs, which only the superuser can mount.

    python benchmarks/interruptions.py --pairs 12 --kills 40 --disks 4
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from erythron.interrupts import INTERRUPTED
from erythron.synthetic.field import DrawnFieldSpec, draw_field

COMMAND = [sys.executable, "-m", "erythron", "count"]
DISK_SHARES = (0.15, 0.45, 0.75, 0.95)
"""Sizes of the small disks as shares of what a count leaves: from one that holds no field to one that lacks
room for the page."""

LONGEST_S = 120.0
"""A count of some seconds that has not ended by then stands still."""

_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")


def count(images: Path, out: Path) -> list[str]:
    """Return the command that counts a folder."""
    return [*COMMAND, str(images), "--out", str(out)]


def read_results(out: Path) -> dict[str, bytes]:
    """Return every file of a run but ``run.json``; times in the page are left out."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != "run.json":
            content = path.read_bytes()
            name = path.relative_to(out).as_posix()
            found[name] = _TIME.sub(b"", content) if path.name == "report.html" else content
    return found


def finish(images: Path, out: Path, expected: dict[str, bytes]) -> str:
    """Give the command again, and return what is wrong of what it leaves; nothing where all is right."""
    try:
        done = subprocess.run(count(images, out), capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return f"the rerun did not end in {LONGEST_S:.0f} s"
    if done.returncode != 0:
        return f"the rerun ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    found = read_results(out)
    hidden = [name for name in found if name.rsplit("/", 1)[-1].startswith(".")]
    if hidden:
        return f"left over: {', '.join(hidden)}"
    odd = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return f"differs: {', '.join(odd)}" if odd else ""


def run_pair(images: Path, out: Path) -> str:
    """Start two counts into one folder at once, and say how they ended."""
    both = [
        subprocess.Popen(count(images, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    broken = [text for text in said if "Traceback" in text]
    return f"exit {codes}" + (f", {broken[0][-200:]}" if broken else "")


def run_killed(images: Path, out: Path, after_s: float, number: signal.Signals) -> tuple[str, bool]:
    """Start a count and send it a signal after some seconds; say how it ended, and whether as it should."""
    process = subprocess.Popen(count(images, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.send_signal(number)
    try:
        status = process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"{number.name} after {after_s:.2f} s, did not end in {LONGEST_S:.0f} s", False
    rightly = (0, -signal.SIGKILL) if number is signal.SIGKILL else (0, INTERRUPTED)
    return f"{number.name} after {after_s:.2f} s, exit {status}", status in rightly


def main() -> None:
    """Disturb counts and compare what their reruns leave with an unbroken one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--disks", type=int, default=4)
    parser.add_argument("--fields", type=int, default=3)
    options = parser.parse_args()
    rng = random.Random(0)  # noqa: S311
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "in"
        images.mkdir()
        for seed in range(options.fields):
            field = draw_field(DrawnFieldSpec(400, 300, seed=seed)).rgb
            Image.fromarray(field).save(images / f"field{seed}.png")
        started = time.perf_counter()
        subprocess.run(count(images, folder / "unbroken"), check=True, capture_output=True)
        usual_s = time.perf_counter() - started
        expected = read_results(folder / "unbroken")
        print(f"unbroken: {len(expected)} files in {usual_s:.1f} s")

        def check(what: str, out: Path) -> None:
            nonlocal wrong
            problem = finish(images, out, expected)
            wrong += bool(problem)
            print(f"{what}; rerun {problem or 'equal'}", flush=True)

        for number in range(options.pairs):
            out = folder / f"pair{number}"
            check(f"pair {number}: {run_pair(images, out)}", out)
        for number in range(options.kills):
            out = folder / f"kill{number}"
            # Every third falls into the last tenth, where summary, page and record are written.
            share = rng.uniform(0.9, 1.02) if number % 3 == 0 else rng.uniform(0.05, 1.0)
            sign = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
            told, is_right = run_killed(images, out, share * usual_s, sign)
            wrong += not is_right
            check(f"kill {number}: {told}{'' if is_right else ' (wrong)'}", out)
        for number in range(options.disks):
            out = folder / f"disk{number}"
            out.mkdir()
            size = round(DISK_SHARES[number % len(DISK_SHARES)] * sum(map(len, expected.values())) / 1024)
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(out)])
            if mounted.returncode != 0:
                print("no small disk can be mounted here")
                break
            try:
                done = subprocess.run(count(images, out), capture_output=True, text=True)
                left = [path.name for path in out.rglob("*.partial")]
                subprocess.run(["mount", "-o", "remount,size=200m", str(out)], check=True)
                lines = [line for line in done.stderr.splitlines() if "No space" in line]
                told = f"exit {done.returncode}, {len(lines)} lines of it, partial files {left}"
                wrong += bool(left) or "Traceback" in done.stderr
                check(f"disk of {size} KiB: {told}", out)
            finally:
                subprocess.run(["umount", str(out)], check=True)
        shutil.rmtree(images)
    print(f"{wrong} wrong")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
