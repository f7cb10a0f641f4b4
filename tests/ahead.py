"""Programs that a test waits for, started while other tests run: a second core does them meanwhile.

A test marked ``@pytest.mark.ahead(start=prepare)`` takes the fixture ``ahead`` in place of starting its
program, whose command ``prepare(folder)`` returns. The program starts with the session if the test is to run
in it, one program after the other, and tests that wait for one run after all others, in the same order.
Several tests may wait for one program: they are marked with the same function.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

Prepare = Callable[[Path], Sequence[str | Path]]
"""Fills the folder of a program, and returns its command."""


def find_program(item: pytest.Item) -> Prepare | None:
    """Return what prepares the program that a test waits for, None where it waits for none."""
    marker = item.get_closest_marker("ahead")
    return None if marker is None else marker.kwargs["start"]


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
        root: folder for those of the programs.
    """

    def __init__(self, items: Iterable[pytest.Item], root: Path) -> None:
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_over = False
        # As it is now: tests that run beside set and take away variables of their own.
        self._environment = dict(os.environ)
        self._ends: dict[Prepare, Future[Ended]] = {}
        for prepare in dict.fromkeys(filter(None, map(find_program, items))):
            folder = root / str(len(self._ends))
            folder.mkdir()
            self._ends[prepare] = self._beside.submit(self._run, prepare(folder), folder)

    def wait(self, prepare: Prepare) -> Ended:
        """Return how the program ended that a marked test names."""
        return self._ends[prepare].result()

    def stop(self) -> None:
        """End what still runs."""
        self._is_over = True
        for process in self._running:
            process.kill()
        self._beside.shutdown(cancel_futures=True)

    def _run(self, command: Sequence[str | Path], folder: Path) -> Ended:
        if self._is_over:
            raise RuntimeError("the session is over")
        with (folder / ".stdout").open("w+b") as stdout, (folder / ".stderr").open("w+b") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=stdout, stderr=stderr)
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
