from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from erythron.errors import DataError
from erythron.train.classifier.fine_tuned.evaluate import evaluate_fine_tuned
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.recipe import FineTunedRecipe
from erythron.train.shared.evaluation import FOLDER, compare_runs
from erythron.train.shared.hardware import Hardware

QUIET = Hardware(threads=1, loggers=())


@pytest.fixture(scope="module")
def trained(
    tiny: FineTunedRecipe,
    drawn_rows: pl.DataFrame,
    cell_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    train_run(tiny, drawn_rows, run, QUIET, cache=cell_cache)
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    return copy


def test_two_runs_are_compared_on_the_same_cells(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    with pytest.raises(DataError, match="erythron evaluate"):
        compare_runs(run, other)
    evaluate_fine_tuned(run)
    evaluate_fine_tuned(other)
    assert compare_runs(run, other).accuracy.value == 0
    calls = other / FOLDER / "calls.csv"
    pl.read_csv(calls).head(5).write_csv(calls)
    with pytest.raises(DataError, match="same cells"):
        compare_runs(run, other)
