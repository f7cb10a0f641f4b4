from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from erythron.errors import DataError, UsageError
from erythron.train.classifier.fine_tuned.evaluate import NOVELTY_FILE, evaluate_fine_tuned, read_novelty
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.recipe import FineTunedRecipe
from erythron.train.recipe_file import vary_recipe
from erythron.train.shared.evaluation import FOLDER, RESULT
from erythron.train.shared.hardware import Hardware
from erythron.train.shared.novelty import LEAST_LIMIT
from erythron.train.shared.run_folder import WEIGHTS_FILE

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


def test_the_test_part_is_called_once(run: Path, drawn_rows: pl.DataFrame) -> None:
    outlined: list[object] = []
    result = evaluate_fine_tuned(run, lambda *step: outlined.append(step))
    assert not outlined
    assert result.is_new
    calls = pl.read_csv(run / FOLDER / "calls.csv")
    test = drawn_rows.filter(pl.col("split") == "test")
    assert sorted(calls["sha256"]) == sorted(test["sha256"])
    np.testing.assert_allclose(calls.select(pl.col(r"^prob_.*$")).to_numpy().sum(1), 1, atol=1e-9)
    assert result.scores.cells == 8
    assert result.calibration.cells == "validation part"
    assert np.sum(result.confident_confusion) == 8
    for name in ("confusion.png", "reliability.png", "precision_recall.png"):
        with Image.open(run / FOLDER / name) as picture:
            assert min(picture.size) > 200
    (run / FOLDER / "calls.csv").unlink()
    again = evaluate_fine_tuned(run)
    assert not again.is_new
    assert again.scores == result.scores
    assert not (run / FOLDER / "calls.csv").exists()


def test_other_weights_may_not_look_again(run: Path) -> None:
    evaluate_fine_tuned(run)
    weights = torch.load(run / WEIGHTS_FILE, weights_only=True)
    weights = {k: v + 1 if v.is_floating_point() else v for k, v in weights.items()}
    torch.save(weights, run / WEIGHTS_FILE)
    with pytest.raises(UsageError, match="evaluated with other weights"):
        evaluate_fine_tuned(run)


def test_damaged_and_missing_runs_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finished training run"):
        evaluate_fine_tuned(tmp_path / "nothing")
    (run / FOLDER).mkdir()
    (run / FOLDER / RESULT).write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        evaluate_fine_tuned(run)


def test_without_a_validation_part_the_test_part_calibrates_and_that_is_said(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    rows = drawn_rows.filter(pl.col("split") != "validation")
    train_run(vary_recipe(tiny, {"fit.epochs": 1}), rows, tmp_path / "run", QUIET, cache=cell_cache)
    result = evaluate_fine_tuned(tmp_path / "run")
    assert result.calibration.cells == "test part, for the manifest has no validation part"


def test_novelty_is_that_of_the_features_and_its_limits_of_cells_not_trained_on(run: Path) -> None:
    evaluate_fine_tuned(run)
    novelty = read_novelty(run)
    assert novelty.fitted.limits.shape == (2,)
    assert (novelty.fitted.limits >= LEAST_LIMIT).all()
    assert len(novelty.fitted.centres) == 4
    (run / FOLDER / NOVELTY_FILE).write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        read_novelty(run)
