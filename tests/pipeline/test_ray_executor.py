"""Two workers on a Ray cluster of this machine: order, failures, and workers that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image
from tests.killing import Doing, Item

from erythron.cli.engine import Engine, EngineOptions, check_engine, open_engine
from erythron.errors import BundleError, MissingExtraError, UsageError
from erythron.pipeline import ray_executor
from erythron.pipeline.count import count_images
from erythron.pipeline.executor import Failure
from erythron.pipeline.options import RunOptions
from erythron.pipeline.process_executor import ProcessExecutor
from erythron.pipeline.ray_executor import AHEAD, RayExecutor
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests, for it takes seconds to start."""
    ray = pytest.importorskip("ray")
    ray_executor._connect(ray, None)
    yield
    ray.shutdown()


def test_items_come_back_in_order_and_fail_alone(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "RETRIES", 1)
    names = [*(f"item-{n}" for n in range(12)), "broken", "killed-once", "killed-always", "last"]
    taken: list[str] = []

    def items() -> Iterator[Item]:
        for name in (*names, "model"):
            taken.append(name)
            yield Item(name)

    done = []
    outcomes = RayExecutor(workers=2).run(Doing(tmp_path), items())
    for item, outcome in islice(outcomes, len(names)):
        assert len(taken) <= len(done) + 2 * AHEAD  # a few before their turn, and not all at once
        done.append((item.name, outcome))
    with pytest.raises(BundleError, match="is no model"):
        next(outcomes)
    assert [name for name, _ in done] == names
    failures = {name: outcome for name, outcome in done if isinstance(outcome, Failure)}
    assert set(failures) == {"broken", "killed-always"}
    assert failures["broken"].reason == "broken: copy it again"
    assert "lost 2 times" in failures["killed-always"].reason
    assert dict(done)["killed-once"] == "KILLED-ONCE"


def test_a_count_on_two_workers_is_that_of_one_process(cluster: None, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(draw_field(DrawnFieldSpec(220, 200, seed=seed)).rgb).save(folder / f"f{seed}.png")
    (folder / "f1b.png").write_text("no image")
    results = {}
    for name, executor in (("here", None), ("there", RayExecutor(workers=2))):
        options = RunOptions(mpp=0.25, threads=None if executor is None else 1)
        run = count_images(find_images([folder]), tmp_path / name, options, executor=executor)
        assert [Path(failure.image).name for failure in run.failures] == ["f1b.png"]
        results[name] = {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name not in {"run.json", "report.html"}
        }
    assert results["here"] == results["there"]


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
