"""Programs that a test waits for, started while other tests run: a second core does them meanwhile.

A test marked ``@pytest.mark.ahead(start=prepare)`` takes the fixture ``ahead`` in place of starting its
program, whose command ``prepare(folder)`` returns. The program starts with the session if the test is to run
in it, one program after the other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
        folder: what it was given to work in.
        returncode: its exit status, negative where a signal ended it.
        stdout: what it printed.
        stderr: what it printed there.
        peak_gib: most memory that it or a program started by it held.
    """

    folder: Path
    returncode: int
    stdout: str
    stderr: str
    peak_gib: float


class Ahead:
    """Runs the programs of a session's marked tests.

    Args:
        items: tests that will run.
    """

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="ahead-"))
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_over = False
        self._ends: dict[str, Future[Ended]] = {}
        for number, item in enumerate(items):
            marker = item.get_closest_marker("ahead")
            if marker is None:
                continue
            prepare: Callable[[Path], Sequence[str | Path]] = marker.kwargs["start"]
            folder = self._root / str(number)
            folder.mkdir()
            self._ends[item.nodeid] = self._beside.submit(self._run, prepare(folder), folder)

    def wait(self, item: pytest.Item) -> Ended:
        """Return how the program of a test ended."""
        return self._ends[item.nodeid].result()

    def stop(self) -> None:
        """End what still runs and remove its folders."""
        self._is_over = True
        for process in self._running:
            process.kill()
        self._beside.shutdown(cancel_futures=True)
        shutil.rmtree(self._root, ignore_errors=True)

    def _run(self, command: Sequence[str | Path], folder: Path) -> Ended:
        if self._is_over:
            raise RuntimeError("the session is over")
        with (folder / ".stdout").open("w+b") as stdout, (folder / ".stderr").open("w+b") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr)
            self._running.append(process)
            # Not `wait`: only this call says what one child used, and not the largest of all so far.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self._running.remove(process)
            said = []
            for file in (stdout, stderr):
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
        return Ended(folder, process.returncode, said[0], said[1], used.ru_maxrss / 2**20)
