"""A slide is tried in a process of its own before OpenSlide opens it here.

A damaged file can crash the C code that decodes it, which ends the process with all its work, or keep it busy
for ever. In a child of its own the crash is only an exit status, and the wait has an end.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

from erythron.errors import ImageReadError

log = logging.getLogger(__name__)

TIME_LIMIT_S = 60.0
"""How long a slide may take to open: local disks need under a second, a busy network drive ten."""

CHILD = """
import os, sys, json
sys.path[:] = json.loads(sys.argv[1])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash that is expected leaves no core file
except ImportError:
    pass
def say(word):
    os.write(1, word)
    os._exit(0)
try:
    import openslide
except (ImportError, OSError):
    say(b"none")
try:
    slide = openslide.OpenSlide(sys.argv[2])
    known = slide.properties
    names = ["openslide.bounds-" + name for name in ("x", "y", "width", "height")]
    whole = (0, 0) + slide.dimensions
    left, top, width, height = (int(known.get(name, side)) for name, side in zip(names, whole))
    for number, (columns, rows) in enumerate(slide.level_dimensions):
        if columns * rows <= int(sys.argv[3]):
            slide.read_region((0, 0), number, (columns, rows))
            continue
        for share in (0, 0.5, 1):
            place = (left + int(share * (width - 1)), top + int(share * (height - 1)))
            slide.read_region(place, number, (1, 1))
except Exception:
    pass  # the caller comes to the same error, and says it
say(b"done")
"""
"""What the child does: it imports OpenSlide and Pillow alone, which is what most of its tenth of a second is.

Of each level the first, the middle and the last tile of what was scanned are decoded, of small ones all.
"""

_MOST_PX = 2_000_000
"""Pixels of a level that are all decoded, in some 30 ms: as many as an overview has."""


def probe_slide(path: Path) -> None:
    """Try a slide in a child process, once for each state of the file.

    What OpenSlide merely refuses passes: the caller comes to the same error. Where no child can be started
    nothing is tried.

    Raises:
        ImageReadError: OpenSlide crashed on it, or did not come to an end.
    """
    state = path.stat()
    reason = _try(path.absolute(), state.st_size, state.st_mtime_ns)
    if reason:
        raise ImageReadError(
            f"{path}: {reason}; the slide is damaged, so copy it again with all files that belong to it, or "
            "export it as a pyramidal TIFF"
        )


@lru_cache(maxsize=4096)
def _try(path: Path, _size: int, _changed_ns: int) -> str:
    """Return what went wrong in the child; empty where nothing did."""
    if not sys.executable:
        return ""
    command = [sys.executable, "-I", "-S", "-c", CHILD, json.dumps(sys.path), os.fspath(path), str(_MOST_PX)]
    started = time.perf_counter()
    try:
        done = subprocess.run(  # noqa: S603 - this Python, with a program of ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"OpenSlide did not come to an end with it in {TIME_LIMIT_S:g} s"
    except OSError:
        log.info("%s: no child process to try it in", path, exc_info=True)
        return ""
    log.debug("%s: tried in a child process in %.3f s", path, time.perf_counter() - started)
    if done.stdout in (b"done", b"none"):
        return ""
    return f"OpenSlide itself crashed on it ({_describe_end(done.returncode)})"


def _describe_end(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
