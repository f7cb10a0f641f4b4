"""What is checked on a Ray cluster, as a program: Ray may end the process that it is started in.

``python -m tests.ray_cluster FOLDER`` starts a cluster on this machine, does every check in FOLDER and prints
the name of each that held.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import ray
from PIL import Image

from erythron.errors import BundleError
from erythron.pipeline import ray_executor
from erythron.pipeline.count import count_images
from erythron.pipeline.executor import Failure
from erythron.pipeline.options import RunOptions
from erythron.pipeline.ray_executor import AHEAD, RayExecutor
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from tests.killing import Doing, Item


def items_come_back_in_order_and_fail_alone(tmp_path: Path) -> None:
    """Items in order, the lost and the broken among them."""
    ray_executor.RETRIES = 1
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


def a_count_on_two_workers_is_that_of_one_process(tmp_path: Path) -> None:
    """A count of drawn fields, a broken file among them."""
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


CHECKS = (items_come_back_in_order_and_fail_alone, a_count_on_two_workers_is_that_of_one_process)

if __name__ == "__main__":
    ray_executor._connect(ray, None)
    for check in CHECKS:
        place = Path(sys.argv[1]) / check.__name__
        place.mkdir()
        check(place)
        sys.stdout.write(f"{check.__name__}\n")
        sys.stdout.flush()
