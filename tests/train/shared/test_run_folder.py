from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from erythron.bundle.schema import DataUsed, MeasurementStatistic
from erythron.errors import DataError, UsageError
from erythron.files.locking import lock_folder
from erythron.train.recipe import FineTunedRecipe, FrozenRecipe, Recipe
from erythron.train.shared.backbones import PixelScaling
from erythron.train.shared.hardware import Hardware
from erythron.train.shared.run_folder import (
    WEIGHTS_FILE,
    RunRecord,
    claim_folder,
    read_record,
    read_weights,
    store_record,
    store_weights,
)
from erythron.train.trainer import train


def make_record(recipe: Recipe) -> RunRecord:
    return RunRecord(
        recipe=recipe,
        classes=("proerythroblast", "monocyte"),
        priors=(0.25, 0.75),
        scaling=PixelScaling((0.5, 0.5, 0.5), (0.5, 0.4, 0.3)),
        data=(DataUsed(name="drawn", licence="CC0", source="here", cells=4, rows_hash="0" * 64),),
        measurements=(MeasurementStatistic(name="nucleus_fraction", mean=0.5, sd=0.1),),
        split_hash="1" * 64,
        cells=4,
        seconds=1.5,
        metrics={"loss": 0.25},
    )


@pytest.mark.parametrize("recipe", [FineTunedRecipe(seed=3), FrozenRecipe(folds=7)])
def test_a_record_comes_back_as_it_was_stored(recipe: Recipe, tmp_path: Path) -> None:
    store_record(tmp_path, make_record(recipe))
    assert read_record(tmp_path) == make_record(recipe)


def test_weights_that_hold_more_than_tensors_are_refused(tmp_path: Path) -> None:
    rows = pl.DataFrame({"path": ["a"]})
    store_weights(tmp_path, {"weight": torch.ones(2)}, rows)
    assert read_weights(tmp_path)["weight"].tolist() == [1, 1]
    torch.save({"weight": torch.nn.Linear(1, 1)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(DataError, match="cannot be loaded"):
        read_weights(tmp_path)


def test_a_folder_is_for_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    claim_folder(out, FineTunedRecipe(), "1" * 64)
    claim_folder(out, FineTunedRecipe(), "1" * 64)
    with pytest.raises(UsageError, match="another recipe or split"):
        claim_folder(out, FineTunedRecipe(seed=1), "1" * 64)
    store_record(out, make_record(FineTunedRecipe()))
    with pytest.raises(UsageError, match="finished"):
        claim_folder(out, FineTunedRecipe(), "1" * 64)
    (tmp_path / "mine").write_text("notes")
    with pytest.raises(UsageError, match="not empty"):
        claim_folder(tmp_path, FineTunedRecipe(), "1" * 64)


def test_a_missing_or_damaged_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finished training run"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="damaged or of another version"):
        read_record(tmp_path)


def test_a_second_training_into_one_folder_is_refused(tmp_path: Path) -> None:
    for recipe in (FineTunedRecipe(), FrozenRecipe()):
        with lock_folder(tmp_path / "run"), pytest.raises(UsageError, match="another run"):
            train(recipe, tmp_path / "run", Hardware())
    # The lock of the own training is nothing that lies in its way.
    with lock_folder(tmp_path / "run"):
        claim_folder(tmp_path / "run", FrozenRecipe(), "1" * 64)
