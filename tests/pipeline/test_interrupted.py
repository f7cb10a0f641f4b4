"""Runs that were killed, ran beside another, met a full disk or a mistyped name: nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.ahead import Ended

from erythron.errors import UsageError
from erythron.files.locking import lock_folder
from erythron.files.tables import read_csv
from erythron.pipeline import count as module
from erythron.pipeline.classify import classify_images
from erythron.pipeline.count import count_images
from erythron.pipeline.extract import extract_cells
from erythron.pipeline.mask import MaskOptions, mask_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results import field
from erythron.synthetic.field import DrawnFieldSpec, draw_field

OPTIONS = RunOptions(mpp=0.25)
FORCE = RunOptions(mpp=0.25, force=True)


def draw_images(folder: Path) -> Path:
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb).save(folder / f"f{seed}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images") / "in")


@pytest.fixture(scope="module")
def counted(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "run"
    assert count_images(find_images([images]), out, OPTIONS).failures == ()
    return out


@pytest.fixture
def run(counted: Path, tmp_path: Path) -> Path:
    shutil.copytree(counted, tmp_path / "run")
    return tmp_path / "run"


def read_results(out: Path) -> dict[str, bytes]:
    """Every file but those that state times."""
    timed = {"run.json", "report.html"}
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name not in timed
    }


LAST_FILES = ("summary.csv", "report.html", "run.json")

KILLED = """
import os, sys
from pathlib import Path
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
old = Path.replace
def replace(self, target):
    done = old(self, target)
    if target.name == sys.argv[3]:
        os.kill(os.getpid(), 9)
    return done
Path.replace = replace
count_images(find_images([Path(sys.argv[1])]), Path(sys.argv[2]), RunOptions(mpp=0.25))
"""

KILL_EACH = """
import subprocess, sys
program, folder, *names = sys.argv[1:]
for name in names:
    command = [sys.executable, "-c", program, f"{folder}/in", f"{folder}/{name}", name]
    print(subprocess.run(command).returncode)
"""


def prepare(folder: Path) -> list[str | Path]:
    """Return the program whose children are killed, each after one of a run's last files."""
    draw_images(folder / "in")
    return [sys.executable, "-c", KILL_EACH, KILLED, folder, *LAST_FILES]


@pytest.mark.ahead(start=prepare)
def test_a_run_killed_after_any_of_its_last_files_is_continued(ahead: Ended, tmp_path: Path) -> None:
    assert ahead.stdout.split() == [str(-signal.SIGKILL)] * 3, ahead.stderr
    images = find_images([ahead.folder / "in"])
    assert count_images(images, tmp_path / "run", OPTIONS).failures == ()
    for name in LAST_FILES:
        out = ahead.folder / name
        assert json.loads((out / "run.json").read_text())["finished"] is None
        assert count_images(images, out, OPTIONS).failures == ()
        assert read_results(out) == read_results(tmp_path / "run"), name
        assert json.loads((out / "run.json").read_text())["finished"]


def test_a_mistyped_name_does_not_stand_in_the_way_of_the_right_one(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    wrong = count_images(find_images([images / "f0.png", images / "f1.pgn"]), out, OPTIONS)
    assert [Path(f.image).name for f in wrong.failures] == ["f1.pgn"]
    assert "there is no such file" in wrong.failures[0].reason
    right = count_images(find_images([images / "f0.png", images / "f1.png"]), out, OPTIONS)
    assert right.failures == ()
    assert read_csv(out / "summary.csv")["status"].to_list() == ["done", "done"]
    with pytest.raises(UsageError, match=r"f1\.png"):
        count_images(find_images([images / "f0.png"]), out, OPTIONS)


@pytest.mark.parametrize(
    ("lost", "how"),
    [
        ("cells.csv", "gone"),
        ("differential.json", "changed"),
        *[
            (name, how)
            for name in ("cells.geojson", "overlay.png", "differential.json")
            for how in ("gone", "empty")
        ],
    ],
)
def test_a_kept_field_is_counted_again_where_a_file_of_it_is_lost(
    lost: str, how: str, images: Path, counted: Path, run: Path
) -> None:
    path = run / "f1" / lost
    before = path.read_bytes()
    path.unlink()
    if how == "empty":
        path.touch()
    if how == "changed":
        path.write_bytes(before.replace(b'"nucleated_cells": ', b'"nucleated_cells": 9', 1))
        assert path.read_bytes() != before
    assert count_images(find_images([images]), run, OPTIONS).failures == ()
    assert read_results(run) == read_results(counted)


@pytest.mark.parametrize("options", [OPTIONS, FORCE])
def test_extract_does_not_write_into_a_count(options: RunOptions, images: Path, run: Path) -> None:
    before = read_results(run)
    with pytest.raises(UsageError, match=r"f0 holds a count, whose table would be lost"):
        extract_cells(find_images([images]), run, options)
    assert read_results(run) == before


def test_extract_makes_lost_crops_again(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    first = extract_cells(find_images([images]), out, OPTIONS)
    before = read_results(out)
    next((out / "f0" / "crops").iterdir()).unlink()
    assert extract_cells(find_images([images]), out, OPTIONS) == first
    assert read_results(out) == before


@pytest.mark.parametrize("command", [count_images, extract_cells, mask_images])
def test_a_second_run_into_one_folder_is_refused(
    command: Callable[..., object], images: Path, tmp_path: Path
) -> None:
    program = "import sys, time; from pathlib import Path; from erythron.files.locking import lock_folder\n"
    program += "with lock_folder(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    out = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", program, str(out)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="another run"):
            command(find_images([images]), out, MaskOptions() if command is mask_images else OPTIONS)
        other.kill()


def test_force_keeps_what_erythron_did_not_write(images: Path, run: Path) -> None:
    (run / "f0" / "notes.txt").write_text("mine")
    (run / "notes.txt").write_text("mine")
    assert count_images(find_images([images]), run, FORCE).failures == ()
    assert (run / "f0" / "notes.txt").read_text() == "mine"
    assert (run / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["summary.csv", "report.html", "f0/cells.csv", "f0"])
def test_force_does_not_replace_a_file_of_another(name: str, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    with pytest.raises(UsageError, match="--out"):
        count_images(find_images([images]), out, FORCE)
    assert (out / name).read_text() == "mine"
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]


def test_force_replaces_no_mask_and_no_table_of_another(images: Path, tmp_path: Path) -> None:
    own = tmp_path / "in"
    shutil.copytree(images, own)
    before = (own / "f0.png").read_bytes()
    done = mask_images(find_images([own]), own, MaskOptions(mpp=0.25, force=True))
    assert len(done.failures) == 2
    assert (own / "f0.png").read_bytes() == before
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        classify_images(find_images([own]), tmp_path / "notes.csv", FORCE)
    assert (tmp_path / "notes.csv").read_text() == "mine"


def test_a_full_disk_fails_one_image_in_words_and_the_tables_are_there(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = field._write_overlay

    def fill(result: object, rgb: object, path: Path) -> None:
        if path.parent.name.startswith(".f0."):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(result, rgb, path)  # type: ignore[arg-type]

    monkeypatch.setattr(field, "_write_overlay", fill)
    out = tmp_path / "run"
    done = count_images(find_images([images]), out, OPTIONS)
    assert [Path(f.image).name for f in done.failures] == ["f0.png"]
    assert "No space left on device" in done.failures[0].reason
    assert "make room" in done.failures[0].reason
    assert "unforeseen" not in done.failures[0].reason
    assert sorted(path.name for path in out.iterdir()) == ["f1", "report.html", "run.json", "summary.csv"]
    monkeypatch.undo()
    assert count_images(find_images([images]), out, OPTIONS).failures == ()


def test_a_page_that_cannot_be_written_leaves_the_tables_and_is_named(
    images: Path, counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(page: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "render_report", refuse)
    out = tmp_path / "run"
    done = count_images(find_images([images]), out, OPTIONS)
    assert [Path(f.image).name for f in done.failures] == ["report.html"]
    assert (out / "summary.csv").read_bytes() == (counted / "summary.csv").read_bytes()
    assert json.loads((out / "run.json").read_text())["finished"] is None
    monkeypatch.undo()
    assert count_images(find_images([images]), out, OPTIONS).failures == ()
    assert read_results(out) == read_results(counted)


def test_a_lock_ends_with_its_run(images: Path, run: Path) -> None:
    with lock_folder(run):
        pass
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
