"""One run at a time in a folder, whatever became of the run before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from erythron.errors import UsageError
from erythron.files.locking import LOCK, lock_folder

HOLD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from erythron.files.locking import lock_folder
    with lock_folder(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
    """
)


def test_a_second_run_is_refused_and_a_killed_one_hinders_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "a[1]"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another run"), lock_folder(folder):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (folder / LOCK).exists()
    with lock_folder(folder):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_a_run_that_writes_nothing_leaves_no_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with lock_folder(tmp_path / "out"):
            raise UsageError("no")

    with pytest.raises(UsageError):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with lock_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()
