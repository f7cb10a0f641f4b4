"""The command line in the process of the tests, as a user types it.

Starting a process takes longer than most commands; what a process of its own must show, ``tests/cli`` starts
one for.
"""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from erythron.cli import run_command


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status, and all that it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_program(*words: str | Path) -> Done:
    """Run one command and return its exit status and what it printed."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run_command([str(word) for word in words])
        except SystemExit as ending:
            code = ending.code
    assert code is None or isinstance(code, int)
    return Done(code or 0, out.getvalue(), err.getvalue())
