"""Two processes of this machine: order, failures, and workers that are lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import _ExecutorManagerThread
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.killing import Doing, Item

from erythron.errors import BundleError
from erythron.pipeline import process_executor
from erythron.pipeline.count import count_images
from erythron.pipeline.executor import Failure
from erythron.pipeline.options import RunOptions
from erythron.pipeline.process_executor import AHEAD, RETRIES, ProcessExecutor
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field


def test_items_come_back_in_order_and_fail_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="erythron")
    names = [*(f"item-{n}" for n in range(8)), "broken", "killed-once", "killed-always", "last"]
    taken: list[str] = []

    def items() -> Iterator[Item]:
        for name in (*names, "model"):
            taken.append(name)
            yield Item(name)

    done = []
    outcomes = ProcessExecutor(2).run(Doing(tmp_path), items())
    for item, outcome in islice(outcomes, len(names)):
        assert len(taken) <= len(done) + 2 * AHEAD  # a few before their turn, and not all at once
        done.append((item.name, outcome))
    with pytest.raises(BundleError, match="is no model"):
        next(outcomes)
    assert [name for name, _ in done] == names
    failures = {name: outcome for name, outcome in done if isinstance(outcome, Failure)}
    assert set(failures) == {"broken", "killed-always"}
    assert failures["broken"].reason == "broken: copy it again"
    assert f"lost {RETRIES + 1} times" in failures["killed-always"].reason
    assert dict(done)["killed-once"] == "KILLED-ONCE"
    # what the workers log nobody sees, so it is logged here, a line an item
    said = [record.message for record in caplog.records if record.name == "erythron.pipeline.executor"]
    assert [line.partition(":")[0] for line in said] == names
    assert {"item-0: done", "broken: failed (broken: copy it again)"} <= set(said)


def test_a_lost_pool_leaves_no_worker_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that a pool starts while it breaks hears nothing of that, and Python waits for its end."""
    end_pool = _ExecutorManagerThread.terminate_broken

    def end_none(manager: Any, cause: Any) -> None:
        manager.processes = {}
        end_pool(manager, cause)

    monkeypatch.setattr(_ExecutorManagerThread, "terminate_broken", end_none)
    before = set(active_children())
    items = map(Item, ["a", "b", "killed-always"])
    *_, last = [outcome for _, outcome in ProcessExecutor(2).run(Doing(tmp_path), items)]
    assert isinstance(last, Failure)
    until = time.monotonic() + 20
    while set(active_children()) - before and time.monotonic() < until:
        time.sleep(0.05)
    assert set(active_children()) <= before


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)


def test_a_worker_that_is_told_to_end_takes_away_what_it_half_wrote_and_the_item_is_done_again(
    tmp_path: Path,
) -> None:
    before = set(active_children())
    outcomes = ProcessExecutor(1).run(Doing(tmp_path), map(Item, ["a", "writing"]))
    assert next(outcomes)[1] == "A"
    wait_for(tmp_path / "writing")
    [worker] = set(active_children()) - before
    worker.terminate()
    assert next(outcomes)[1] == "WRITING"
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*"))
    outcomes.close()  # type: ignore[attr-defined]
    assert set(active_children()) <= before


def test_a_second_interrupt_cuts_the_items_at_work_off_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(active_children())
    outcomes = ProcessExecutor(1).run(Doing(tmp_path), map(Item, ["a", "writing", "b"]))
    next(outcomes)
    wait_for(tmp_path / "writing")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):  # the first one is what closes the outcomes of a command
        outcomes.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.glob(".*"))
    assert set(active_children()) <= before


def test_an_interrupt_is_said_at_once_while_an_item_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    for is_interrupted, expected in ((False, 0), (True, 1)):
        monkeypatch.setattr(process_executor, "is_interrupted", lambda came=is_interrupted: came)
        folder = tmp_path / str(is_interrupted)
        folder.mkdir()
        outcomes = ProcessExecutor(1, said.append).run(Doing(folder), map(Item, ["a", "writing"]))
        next(outcomes)
        wait_for(folder / "writing")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()  # another one ends the waiting
        with pytest.raises(KeyboardInterrupt):
            outcomes.close()  # type: ignore[attr-defined]
        assert len(said) == expected
    assert "Ctrl-C again" in said[0]


def test_to_give_up_while_all_workers_are_lost_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGTERM to all processes of a command, as SLURM and systemd send it, comes to that."""
    tell = _ExecutorManagerThread.terminate_broken

    def tell_late(manager: Any, cause: Any) -> None:
        time.sleep(0.5)
        tell(manager, cause)

    monkeypatch.setattr(_ExecutorManagerThread, "terminate_broken", tell_late)
    before = set(active_children())
    outcomes = ProcessExecutor(1).run(Doing(tmp_path), map(Item, ["a", "writing", "b", "c", "d"]))
    next(outcomes)
    wait_for(tmp_path / "writing")
    [worker] = set(active_children()) - before
    worker.kill()
    closing = threading.Thread(target=outcomes.close, daemon=True)  # type: ignore[attr-defined]
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_a_count_in_two_processes_is_that_of_one(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb).save(folder / f"f{seed}.png")
    results = []
    for name, executor in (("one", None), ("two", ProcessExecutor(2))):
        options = RunOptions(mpp=0.25, threads=None if executor is None else 1)
        assert count_images(find_images([folder]), tmp_path / name, options, executor=executor).failures == ()
        results.append(
            {
                path.relative_to(tmp_path / name): path.read_bytes()
                for path in (tmp_path / name).rglob("*")
                if path.is_file() and path.name not in {"run.json", "report.html"}
            }
        )
    assert results[0] == results[1]
