"""Two workers on a Ray cluster of this machine: order, failures, and workers that are lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.ahead import ROOT, Ended
from tests.killing import Doing, Item

from erythron.cli.engine import Engine, EngineOptions, check_engine, open_engine
from erythron.errors import MissingExtraError, UsageError
from erythron.pipeline import ray_executor
from erythron.pipeline.executor import STOPPING
from erythron.pipeline.process_executor import ProcessExecutor
from erythron.pipeline.ray_executor import RayExecutor

CHECKS = ["items_come_back_in_order_and_fail_alone", "a_count_on_two_workers_is_that_of_one_process"]


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.ray_cluster", folder]


@pytest.mark.ahead(start=prepare)
def test_on_a_cluster_items_keep_their_order_fail_alone_and_a_count_is_that_of_one_process(
    ahead: Ended, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    code, stdout, stderr = ahead.returncode, ahead.stdout, ahead.stderr
    if not find_checks(stdout):  # Ray did not start, which it may fail to do where all cores are busy
        done = subprocess.run(prepare(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=300)
        code, stdout, stderr = done.returncode, done.stdout, done.stderr
    assert code == 0, stderr[-3000:]
    assert find_checks(stdout) == CHECKS


def find_checks(stdout: str) -> list[str]:
    """The checks that held; Ray prints beside them what its workers say."""
    return [line for line in stdout.splitlines() if line in CHECKS]


def test_an_address_where_nothing_answers_is_named() -> None:
    ray = pytest.importorskip("ray")

    class Dead:
        is_initialized = staticmethod(lambda: False)

        @staticmethod
        def init(**_: object) -> None:
            raise ConnectionError("refused")

    with pytest.raises(UsageError, match=r"ray://nowhere:1"):
        ray_executor._connect(Dead, "ray://nowhere:1")  # type: ignore[arg-type]
    assert ray is not None


def test_sigterm_stays_an_interrupt_after_ray_has_put_a_handler_of_its_own_in_its_place() -> None:
    class Own:
        @staticmethod
        def init(**_: object) -> None:
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    def handle(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, handle)
    try:
        ray_executor._connect(Own, None)  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_while_ray_starts_is_an_interrupt() -> None:
    class Own:
        @staticmethod
        def init(**_: object) -> None:
            raise SystemExit(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        ray_executor._connect(Own, None)  # type: ignore[arg-type]


def test_who_gives_up_half_way_waits_for_the_items_at_work() -> None:
    told: list[object] = []

    class Own:
        exceptions = SimpleNamespace(RayActorError=LookupError)

        @staticmethod
        def remote(**_: object) -> Callable[[object], object]:
            do = SimpleNamespace(remote=lambda item: f"answer of {item.name}")
            return lambda _: SimpleNamespace(remote=lambda _: SimpleNamespace(do=do))

        @staticmethod
        def wait(answers: list[str], num_returns: int) -> tuple[list[str], list[str]]:
            told.append(answers[:num_returns])
            return answers[:num_returns], answers[num_returns:]

        get = staticmethod(str.upper)
        kill = staticmethod(lambda _: told.append("killed"))

    pool = ray_executor._Pool[Item, str](Own, Doing(Path()), 2)  # type: ignore[arg-type]
    assert next(pool.run(map(Item, "abc")))[1] == "ANSWER OF A"
    pool.stop(told.append)
    assert told[-4:] == [STOPPING, ["answer of b", "answer of c"], "killed", "killed"]


def test_options_of_ray_need_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    check_engine(EngineOptions())
    assert open_engine(EngineOptions()) is None
    check_engine(EngineOptions(workers=2))
    assert isinstance(open_engine(EngineOptions(workers=2)), ProcessExecutor)
    with pytest.raises(UsageError, match="--ray-address"):
        check_engine(EngineOptions(address="auto"))
    assert isinstance(open_engine(EngineOptions(Engine.RAY, workers=2)), RayExecutor)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"erythron\[ray\]"):
        check_engine(EngineOptions(Engine.RAY))
