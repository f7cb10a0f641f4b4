import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from erythron.files.writing import open_at, whole_file, whole_folder, write_file


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "new" / "table.csv"
    with whole_file(final) as partial:
        partial.write_text("half")
        assert not final.exists()
    assert final.read_text() == "half"
    assert list(final.parent.iterdir()) == [final]


def test_a_failing_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "table.csv"
    write_file(final, "old")

    def fail() -> None:
        with whole_file(final) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_replaces_the_old_one_only_when_it_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "field"
    with whole_folder(final) as partial:
        (partial / "old.txt").write_text("old")

    def fail() -> None:
        with whole_folder(final) as partial:
            (partial / "new.txt").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in final.iterdir()] == ["old.txt"]

    with whole_folder(final) as partial:
        (partial / "new.txt").write_text("new")
    assert [path.name for path in final.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [final]


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    final = tmp_path / "field"
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from erythron.files.writing import whole_folder
        with whole_folder(Path(sys.argv[1])) as partial:
            (partial / "half.txt").write_text("half")
            print("ready", flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program, str(final)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not final.exists()
    with whole_folder(final) as partial:
        (partial / "whole.txt").write_text("whole")
    assert [path.name for path in final.iterdir()] == ["whole.txt"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_file_is_continued_from_a_byte_and_what_lay_behind_goes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "download.part"
    with open_at(path) as file:
        file.write(b"first, broken")
    with open_at(path, 6) as file:
        file.write(b" whole")
    assert path.read_bytes() == b"first, whole"
    with open_at(path) as file:
        file.write(b"anew")
    assert path.read_bytes() == b"anew"
