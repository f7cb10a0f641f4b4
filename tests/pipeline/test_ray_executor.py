"""Two workers on a Ray cluster of this machine: order, failures, and workers that are lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from erythron.cli.engine import Engine, EngineOptions, check_engine, open_engine
from erythron.errors import MissingExtraError, UsageError
from erythron.pipeline import ray_executor
from erythron.pipeline.process_executor import ProcessExecutor
from erythron.pipeline.ray_executor import RayExecutor

ROOT = Path(__file__).parents[2]
CHECKS = ["items_come_back_in_order_and_fail_alone", "a_count_on_two_workers_is_that_of_one_process"]


def test_on_a_cluster_items_keep_their_order_fail_alone_and_a_count_is_that_of_one_process(
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "tests.ray_cluster"]
    for trial in range(2):
        folder = tmp_path / str(trial)
        folder.mkdir()
        done = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=300)
        # Ray prints beside it what its workers say.
        held = [line for line in done.stdout.splitlines() if line in CHECKS]
        if held:  # else Ray did not start, which it may fail to do where all cores are busy
            break
    assert done.returncode == 0, done.stderr[-3000:]
    assert held == CHECKS


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
