"""Programs that tests wait for: what they are given is what the session had."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.ahead import Ahead


class _Marked:
    """A test that waits for a program.

    Args:
        prepare: of the program.
    """

    def __init__(self, prepare: object) -> None:
        self._marker = pytest.mark.ahead(start=prepare).mark

    def get_closest_marker(self, _: str) -> Any:
        return self._marker


def test_a_program_has_the_variables_that_the_session_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = tmp_path / "go-on"

    def wait(_: Path) -> list[str]:
        code = "import sys, time, pathlib\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
        return [sys.executable, "-c", code, str(go_on)]

    def say(_: Path) -> list[str]:
        return [sys.executable, "-c", "import os; print(os.environ.get('OF_THE_SESSION'))"]

    monkeypatch.setenv("OF_THE_SESSION", "kept")
    programs = Ahead([cast("pytest.Item", _Marked(prepare)) for prepare in (wait, say)], tmp_path)
    # The second starts while a test has taken the variable away.
    monkeypatch.delenv("OF_THE_SESSION")
    go_on.touch()
    assert programs.wait(say).stdout == "kept\n"
    programs.stop()
