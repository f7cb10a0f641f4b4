from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from erythron.errors import UsageError
from erythron.train.classifier.fine_tuned.checkpoints import keep_checkpoints
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.recipe import FineTunedRecipe, FitSettings
from erythron.train.recipe_file import vary_recipe
from erythron.train.shared.curves import CURVE_SCHEMA, CURVES, FIGURE, read_curve
from erythron.train.shared.hardware import Checkpoint, Hardware

QUIET = Hardware(threads=1, loggers=())


@pytest.mark.parametrize(
    ("kept", "names"),
    [(Checkpoint.NONE, set()), (Checkpoint.WEIGHTS, {"weights.ckpt"}), (Checkpoint.BEST, {"best.ckpt"})],
)
def test_what_is_kept_is_what_was_asked_for_and_holds_no_optimiser(
    kept: Checkpoint,
    names: set[str],
    tiny: FineTunedRecipe,
    drawn_rows: pl.DataFrame,
    cell_cache: Path,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    recipe = vary_recipe(tiny, {"network.fusion": "image"})
    train_run(recipe, drawn_rows, run, replace(QUIET, checkpoint=kept), cache=cell_cache)
    assert {p.name for p in run.rglob("*.ckpt")} == names
    for path in run.rglob("*.ckpt"):
        assert "optimizer_states" not in torch.load(path, weights_only=True)
    assert (run / "weights.pt").exists()
    curve = read_curve(run / CURVES)
    assert curve.columns == list(CURVE_SCHEMA)
    assert curve["epoch"].to_list() == [1, 2]
    assert curve.null_count().sum_horizontal().item() == 0
    assert (run / FIGURE).stat().st_size > 5000


def test_an_epoch_that_is_not_kept_cannot_be_the_result(tmp_path: Path) -> None:
    for kept in (Checkpoint.NONE, Checkpoint.WEIGHTS):
        with pytest.raises(UsageError, match="give --checkpoint best or last"):
            keep_checkpoints(kept, FitSettings(select="published"), tmp_path, has_validation=True)
    with pytest.raises(UsageError, match="needs a validation part"):
        keep_checkpoints(Checkpoint.BEST, FitSettings(), tmp_path, has_validation=False)
