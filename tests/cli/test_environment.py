"""Consoles, disks and signals: one line each, the right exit status, the rest done."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from erythron.cli import main
from erythron.synthetic.field import DrawnFieldSpec, draw_field

ERYTHRON = [sys.executable, "-m", "erythron"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for seed in range(2):
        Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb).save(folder / f"é{seed}.png")
    return folder


@pytest.fixture(autouse=True)
def keep_handler() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run a command in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["erythron", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        main()
    return 0 if ending.value.code is None else int(str(ending.value.code))


@pytest.fixture(scope="module")
def said_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a count goes that several consoles ask for: its fields are counted for the first of them."""
    return tmp_path_factory.mktemp("said") / "o"


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp932", "ascii"])
def test_every_console_takes_what_a_count_says(
    encoding: str, images: Path, said_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console is a stream of its encoding; that a process takes it from there, the next test shows."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    lost = said_out.with_name("原\udcff.png")
    assert call(monkeypatch, "count", images, lost, "--out", said_out) == 1
    said = {}
    for name, stream in streams.items():
        stream.flush()
        said[name] = stream.buffer.getvalue().decode(encoding)
    assert "Traceback" not in said["stderr"]
    assert "there is no such file" in said["stderr"]
    assert "nucleated cells in 2 field(s)" in said["stdout"]


@pytest.mark.parametrize("command", [["--help"], ["count", "--help"], ["data", "list"]])
def test_every_console_takes_the_help(command: list[str]) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*ERYTHRON, *command], capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["count", "extract", "mask"])
def test_out_that_is_a_file_is_one_line(
    command: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    assert call(monkeypatch, command, images, "--out", out) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said == [f"erythron: {out}: File exists; a file is where a folder should be; choose another name"]
    assert out.read_text() == "mine"


def test_a_folder_that_may_not_be_written_is_one_line(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Even the superuser cannot make a folder there.
    assert call(monkeypatch, "count", images, "--out", "/sys/erythron") == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("erythron: /sys/erythron: ")


def test_a_finished_run_given_as_input_is_wrong_usage(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert call(monkeypatch, "count", images / "é0.png", "--out", out) == 0
    assert call(monkeypatch, "count", out, "--out", tmp_path / "run2") == 2
    assert "results of erythron" in capsys.readouterr().err
    assert not (tmp_path / "run2").exists()
    # Its overlay given by name is refused alone.
    assert call(monkeypatch, "count", out / "é0" / "overlay.png", "--out", tmp_path / "run3") == 1
    assert "erythron made this picture" in capsys.readouterr().err


def test_results_inside_the_inputs_are_left_out_and_said(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "in"
    own.mkdir()
    (own / "a.png").write_bytes((images / "é0.png").read_bytes())
    for _ in range(2):
        assert call(monkeypatch, "count", own, "--out", own / "out") == 0
        assert "in 1 field(s)" in capsys.readouterr().out
    assert call(monkeypatch, "count", own, "--out", own) == 0
    assert "in 1 field(s)" in capsys.readouterr().out
    assert sorted(path.name for path in own.iterdir()) == [
        "a", "a.png", "out", "report.html", "run.json", "summary.csv",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_and_a_termination_say_the_same_and_leave_nothing_half(
    number: signal.Signals, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*ERYTHRON, "count", str(images), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.decode().strip().splitlines()[-1] == (
        "erythron: interrupted; give the same command again to continue"
    )
    assert b"Traceback" not in said
    assert not list(tmp_path.rglob("*.partial"))


def test_an_interrupt_of_workers_says_at_once_what_is_waited_for(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for seed in range(8):
        Image.fromarray(draw_field(DrawnFieldSpec(300, 240, seed=seed)).rgb).save(folder / f"{seed}.png")
    command = [*ERYTHRON, "count", str(folder), "--out", str(out), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("*/record.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    stopping, last = [line for line in said.decode().splitlines() if line.strip()][-2:]
    assert stopping.startswith("erythron: stopping; the images at work are finished first")
    assert last == "erythron: interrupted; give the same command again to continue"
    assert not list(tmp_path.rglob("*.partial"))


def test_verbose_writes_a_log_with_times(images: Path, tmp_path: Path) -> None:
    command = [*ERYTHRON, "-v", "count", str(images / "é0.png"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO erythron[.\w]*: "
    assert re.search(rf"^{stamp}erythron .*count", done.stderr, re.MULTILINE)
    assert re.search(rf"^{stamp}.*é0\.png: done in \d+\.\d\d s$", done.stderr, re.MULTILINE)


def test_wrong_usage_is_two(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "count", "--no-such-option") == 2
    assert call(monkeypatch, "count", "/nowhere", "--out", "/nowhere/x", "--mpp", "99") == 2
    capsys.readouterr()
