import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from erythron.files import writing
from erythron.files.writing import open_at, partial_path, sweep, whole_file, whole_folder, write_file


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


LONGEST = "é" * 125 + "a"


def test_the_longest_names_are_written(tmp_path: Path) -> None:
    assert len(os.fsencode(LONGEST)) == 251
    write_file(tmp_path / LONGEST, "text")
    with whole_folder(tmp_path / f"f{LONGEST}") as partial:
        (partial / "a").touch()
    with whole_folder(tmp_path / f"f{LONGEST}") as partial:
        (partial / "b").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LONGEST, f"f{LONGEST}"])
    assert [path.name for path in (tmp_path / f"f{LONGEST}").iterdir()] == ["b"]


def test_two_writers_of_one_file_do_not_share_a_partial_one(tmp_path: Path) -> None:
    final = tmp_path / "a.csv"
    with whole_file(final) as one, whole_file(final) as other:
        one.write_text("one")
        other.write_text("other")
    assert final.read_text() == "one"
    assert list(tmp_path.iterdir()) == [final]


def end(program: str, *arguments: str) -> None:
    """Run a program that prints a line and waits, and kill it there."""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


HALF = """
import sys, time
from pathlib import Path
from erythron.files.writing import whole_file
with whole_file(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_killed_processes_left_is_swept_and_that_of_living_ones_stays(tmp_path: Path) -> None:
    end(HALF, str(tmp_path / "a[1].csv"))
    assert len(list(tmp_path.iterdir())) == 1
    foreign = tmp_path / ".b.csv.ffffff-1-0.partial"  # of another machine
    foreign.touch()
    (tmp_path / ".notes.partial").touch()  # not erythron's
    with whole_file(tmp_path / "c.csv") as own:
        own.write_text("c")
        sweep(tmp_path)
    names = {".b.csv.ffffff-1-0.partial", ".notes.partial", "c.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names


REPLACE = """
import sys, time
from pathlib import Path
from erythron.files import writing
old = Path.replace
def replace(self, target):
    if self.name.endswith(".partial"):
        print("ready", flush=True)
        time.sleep(60)
    return old(self, target)
Path.replace = replace
with writing.whole_folder(Path(sys.argv[1]), own=["old.txt"]) as partial:
    (partial / "new.txt").touch()
"""


def test_a_folder_whose_replacement_was_killed_between_the_renames_is_put_back(tmp_path: Path) -> None:
    short, long = tmp_path / "a" / "field", tmp_path / "b" / LONGEST
    for final in (short, long):
        final.mkdir(parents=True)
        (final / "old.txt").touch()
        (final / "notes.txt").write_text("mine")
        end(REPLACE, str(final))
        assert not final.exists()
        sweep(final.parent)
    assert {path.name for path in short.iterdir()} == {"old.txt", "notes.txt"}
    assert list(short.parent.iterdir()) == [short]
    with whole_folder(long, own=["old.txt"]) as partial:
        (partial / "new.txt").touch()
    assert {path.name for path in long.iterdir()} == {"new.txt", "notes.txt"}
    assert list(long.parent.iterdir()) == [long]


def test_what_others_put_into_a_folder_is_kept_when_it_is_replaced(tmp_path: Path) -> None:
    final = tmp_path / "field"
    with whole_folder(final) as partial:
        (partial / "old.txt").touch()
    (final / "notes.txt").write_text("mine")
    (final / "slides").mkdir()
    (final / "slides" / "a.txt").write_text("mine too")
    with whole_folder(final, own=["old.txt"]) as partial:
        (partial / "new.txt").touch()
    assert {path.name for path in final.iterdir()} == {"new.txt", "notes.txt", "slides"}
    assert (final / "notes.txt").read_text() == "mine"
    assert (final / "slides" / "a.txt").read_text() == "mine too"
    assert list(tmp_path.iterdir()) == [final]


def test_a_swap_that_fails_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = tmp_path / "field"
    with whole_folder(final) as partial:
        (partial / "old.txt").touch()
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target == final and "old" not in self.name:
            raise OSError(28, "No space left on device")
        return real(self, target)

    def replace() -> None:
        with whole_folder(final) as partial:
            (partial / "new.txt").touch()

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        replace()
    assert [path.name for path in final.iterdir()] == ["old.txt"]
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a right there")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_replaced(is_there: bool, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if is_there:
        (disk / "results").mkdir()
        (disk / "results" / "old.csv").write_text("old")
        (disk / "file.csv").write_text("old")
    (tmp_path / "results").symlink_to(disk / "results")
    (tmp_path / "file.csv").symlink_to(Path("disk") / "file.csv")
    with whole_folder(tmp_path / "results") as folder:
        (folder / "new.csv").write_text("new")
    write_file(tmp_path / "file.csv", "new")
    assert (tmp_path / "results").is_symlink()
    assert (tmp_path / "file.csv").is_symlink()
    assert [path.name for path in (disk / "results").iterdir()] == ["new.csv"]
    assert (disk / "file.csv").read_text() == "new"
    assert sorted(path.name for path in disk.iterdir()) == ["file.csv", "results"]


def test_partial_names_are_hidden_and_short_enough() -> None:
    for name in ("a.csv", LONGEST, "x" * 255):
        partial = partial_path(Path("out") / name)
        assert partial.name.startswith(".")
        assert partial.name.endswith(".partial")
        assert len(os.fsencode(partial.name)) <= 255


@pytest.mark.parametrize("synced", [True, False])
def test_bytes_are_on_the_disk_before_a_name_is(
    synced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that outlives the bytes in a power cut leaves an empty file under the final name."""
    kept: list[tuple[str, bool]] = []
    file, folder = tmp_path / "table.csv", tmp_path / "field"

    def sync(number: int) -> None:
        kept.append((Path(f"/proc/self/fd/{number}").resolve().name, file.exists() or folder.exists()))

    monkeypatch.setattr(writing.os, "fsync", sync)
    with whole_folder(folder, synced=synced) as partial:
        (partial / "in").mkdir()
        (partial / "in" / "cells.csv").write_text("a")
        (partial / "record.json").write_text("b")
    assert sorted(kept) == ([("cells.csv", False), ("record.json", False)] if synced else [])
    kept.clear()
    shutil.rmtree(folder)
    write_file(file, "a")
    assert [early for _, early in kept] == [False]
