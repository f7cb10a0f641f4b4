from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from tests.ahead import Ended
from tests.train.conftest import draw_manifest, make_tiny
from timm.scheduler import CosineLRScheduler

from erythron.errors import DataError, UsageError
from erythron.train.classifier.fine_tuned.augmentation import Batch
from erythron.train.classifier.fine_tuned.checkpoints import BEST, LAST
from erythron.train.classifier.fine_tuned.fitting import CellFitting, find_rate
from erythron.train.classifier.fine_tuned.run import choose_precision, load_network, train_run
from erythron.train.recipe import FineTunedRecipe
from erythron.train.recipe_file import vary_recipe
from erythron.train.shared.curves import CURVES, read_curve
from erythron.train.shared.hardware import Hardware
from erythron.train.shared.run_folder import WEIGHTS_FILE

QUIET = Hardware(threads=1, loggers=("csv",))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run / WEIGHTS_FILE, weights_only=True)
    return weights


def assert_same_weights(a: Path, b: Path, tolerance: float = 0.0) -> None:
    first, second = weights_of(a), weights_of(b)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=tolerance, atol=tolerance, msg=name)


def test_a_run_learns_and_its_artefact_holds_everything(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    recipe = vary_recipe(tiny, {"fit.epochs": 5, "optimiser.rate": 5e-3})
    seen: list[tuple[str, int, int]] = []
    record = train_run(
        recipe, drawn_rows, tmp_path / "run", QUIET, lambda *step: seen.append(step), tmp_path / "cells"
    )
    assert record.metrics["validation_loss"] < 1.2 < 1.386
    count = drawn_rows.height
    assert seen[:count] == [("Outlining cells", i + 1, count) for i in range(count)]
    assert seen[count:] == [("Training", i + 1, 5) for i in range(5)]
    assert record.epochs_run == 5
    network, again = load_network(tmp_path / "run")
    assert again == record
    assert {"core.image_branch.conv_stem.weight", "core.mask_branch.conv_stem.weight"} <= set(
        network.state_dict()
    )
    assert record.classes[0] == "proerythroblast"
    with pytest.raises(UsageError, match="finished"):
        train_run(recipe, drawn_rows, tmp_path / "run", QUIET, cache=cell_cache)


def test_half_precision_gives_nearly_the_weights_of_full(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    recipe = vary_recipe(tiny, {"fit.epochs": 1, "optimiser.kind": "sgd", "optimiser.rate": 0.05})
    for precision in ("32-true", "bf16-mixed"):
        hardware = replace(QUIET, precision=precision)
        train_run(recipe, drawn_rows, tmp_path / precision, hardware, cache=cell_cache)
    full, half = (weights_of(tmp_path / name) for name in ("32-true", "bf16-mixed"))
    squares = [
        ((full[n] - half[n]).square().sum(), full[n].square().sum())
        for n in full
        if full[n].is_floating_point()
    ]
    distance, length = (float(sum(parts)) ** 0.5 for parts in zip(*squares, strict=True))
    assert 0 < distance < 0.01 * length
    assert all(w.dtype == torch.float32 for w in half.values() if w.is_floating_point())


KILLED = """
import os, signal, sys
from pathlib import Path
import polars as pl
from erythron.train.classifier.fine_tuned.fitting import CellFitting
from erythron.train.recipe import FineTunedRecipe
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.shared.hardware import Hardware

plain = CellFitting.training_step
def step(self, batch, batch_idx):
    if self.trainer.global_step == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, batch, batch_idx)
CellFitting.training_step = step
recipe = FineTunedRecipe.model_validate_json(sys.argv[1])
rows = pl.read_parquet(sys.argv[2])
hardware = Hardware(threads=1, loggers=("csv",))
train_run(recipe, rows, Path(sys.argv[3]), hardware, cache=Path(sys.argv[5]))
"""


# Steps of six cells, five an epoch.
INTERRUPTED = {
    "fit.epochs": 3,
    "fit.checkpoint_steps": 1,
    "fit.ema_decay": 0.8,
    "network.dropout": 0.3,
    "fit.batch_size": 6,
}


def write_rows(folder: Path) -> Path:
    """Draw the cells of ``drawn_rows`` once more and return their manifest."""
    draw_manifest(folder).write_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


def prepare_killed(folder: Path) -> list[str | Path]:
    """Return a command that is killed in step 7, the third of the second epoch."""
    settings = vary_recipe(make_tiny(), INTERRUPTED).model_dump_json()
    return [sys.executable, "-c", KILLED, settings, write_rows(folder), folder / "cut", "7", folder / "cells"]


# An interpreter with torch and Lightning is the only way to be killed for real.
@pytest.mark.ahead(start=prepare_killed)
def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(
    tiny: FineTunedRecipe, ahead: Ended, tmp_path: Path
) -> None:
    recipe, rows = vary_recipe(tiny, INTERRUPTED), pl.read_parquet(ahead.folder / "rows.parquet")
    cut, cache = ahead.folder / "cut", ahead.folder / "cells"
    whole = train_run(recipe, rows, tmp_path / "whole", QUIET, cache=cache)
    assert ahead.returncode == -signal.SIGKILL, ahead.stderr
    stored = torch.load(cut / "checkpoints" / LAST, weights_only=True)
    assert stored["global_step"] == 7
    resumed = train_run(recipe, rows, cut, QUIET, cache=cache)
    assert_same_weights(tmp_path / "whole", cut)
    for name in ("validation_loss", "validation_accuracy", "train_loss", "train_accuracy"):
        assert resumed.metrics[name] == whole.metrics[name], name


def test_broken_off_between_checkpoints_and_resumed_from_the_end_of_an_epoch(
    tiny: FineTunedRecipe,
    drawn_rows: pl.DataFrame,
    cell_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = vary_recipe(tiny, {"fit.epochs": 3, "network.dropout": 0.3})
    train_run(recipe, drawn_rows, tmp_path / "whole", QUIET, cache=cell_cache)
    plain = CellFitting.training_step

    def fail(self: CellFitting, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.trainer.global_step == 6:
            raise MemoryError("full")
        return plain(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CellFitting, "training_step", fail)
        with pytest.raises(MemoryError):
            train_run(recipe, drawn_rows, tmp_path / "cut", QUIET, cache=cell_cache)
    stored = torch.load(tmp_path / "cut" / "checkpoints" / LAST, weights_only=True)
    assert stored["global_step"] == 4
    train_run(recipe, drawn_rows, tmp_path / "cut", QUIET, cache=cell_cache)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    logs = [pl.read_csv(p) for p in sorted((tmp_path / "cut" / "logs").glob("*/metrics.csv"))]
    assert [sorted(set(log["epoch"])) for log in logs] == [[0], [1, 2]]
    whole, cut = (read_curve(tmp_path / name / CURVES) for name in ("whole", "cut"))
    assert cut.equals(whole)


def test_an_interrupt_stays_one(
    tiny: FineTunedRecipe,
    drawn_rows: pl.DataFrame,
    cell_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CellFitting, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_run(tiny, drawn_rows, tmp_path / "run", QUIET, cache=cell_cache)


class Foreign:
    """What no checkpoint may hold: unpickling it could run anything."""


def test_a_checkpoint_with_a_foreign_class_is_refused(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    recipe = vary_recipe(tiny, {"fit.epochs": 2, "fit.select": "best"})
    run = tmp_path / "run"
    train_run(recipe, drawn_rows, run, QUIET, cache=cell_cache)
    (run / "run.json").unlink()
    for name in (LAST, BEST):
        path = run / "checkpoints" / name
        content = torch.load(path, weights_only=True)
        torch.save({**content, "extra": Foreign()}, path)
        with pytest.raises(DataError, match=f"{name}: holds more than tensors"):
            train_run(recipe, drawn_rows, run, QUIET, cache=cell_cache)
        torch.save(content, path)


def test_a_folder_of_another_run_is_refused(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text(
        json.dumps({"recipe": FineTunedRecipe().model_dump(mode="json"), "split_hash": "x"})
    )
    with pytest.raises(UsageError, match="another recipe or split"):
        train_run(tiny, drawn_rows, run, QUIET, cache=cell_cache)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        train_run(tiny, drawn_rows, other, QUIET, cache=cell_cache)


def test_accumulation_gives_the_weights_of_one_batch(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    for name, parts in (("one", 1), ("two", 2)):
        recipe = vary_recipe(tiny, {"fit.epochs": 1, "fit.accumulate": parts, "network.dropout": 0.0})
        train_run(recipe, drawn_rows, tmp_path / name, QUIET, cache=cell_cache)
    assert_same_weights(tmp_path / "one", tmp_path / "two", 2e-5)


TORCHRUN = """
import sys
from pathlib import Path
import polars as pl
from erythron.train.recipe import FineTunedRecipe
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.shared.hardware import Hardware

train_run(
    FineTunedRecipe.model_validate_json(sys.argv[1]), pl.read_parquet(sys.argv[2]), Path(sys.argv[3]),
    Hardware(accelerator="cpu", threads=1, loggers=()), cache=Path(sys.argv[4]),
)
"""


TWO = {"fit.epochs": 2, "network.dropout": 0.0, "optimiser.kind": "sgd", "optimiser.rate": 0.05}


def prepare_two(folder: Path) -> list[str | Path]:
    """Return a command that trains in two processes."""
    script = folder / "train.py"
    script.write_text(TORCHRUN)
    settings = vary_recipe(make_tiny(), TWO).model_dump_json()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, script, settings, write_rows(folder), folder / "two", folder / "cells"]


# Three interpreters; nothing less shows that two processes agree.
@pytest.mark.ahead(start=prepare_two)
def test_two_gloo_processes_give_the_weights_of_one(
    tiny: FineTunedRecipe, ahead: Ended, tmp_path: Path
) -> None:
    """GroupNorm, as statistics over a batch differ between one process and two by their nature."""
    rows = pl.read_parquet(ahead.folder / "rows.parquet")
    train_run(vary_recipe(tiny, TWO), rows, tmp_path / "one", QUIET, cache=ahead.folder / "cells")
    assert ahead.returncode == 0, ahead.stderr[-3000:]
    assert_same_weights(tmp_path / "one", ahead.folder / "two", 1e-4)


def test_more_devices_than_processes_says_how_to_start(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="torchrun --nproc-per-node 2"):
        train_run(tiny, drawn_rows, tmp_path / "run", replace(QUIET, devices=2), cache=cell_cache)


def test_early_stop_and_the_best_epoch(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    changes = {
        "fit.epochs": 30,
        "fit.patience": 1,
        "fit.select": "best",
        "optimiser.rate": 0.3,
        "optimiser.kind": "sgd",
    }
    record = train_run(vary_recipe(tiny, changes), drawn_rows, tmp_path / "run", QUIET, cache=cell_cache)
    assert record.epochs_run < 30
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    stored = weights_of(tmp_path / "run")
    assert all(torch.equal(best[f"network.{name}"], value) for name, value in stored.items())


def test_missing_parts_are_named(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    no_validation = drawn_rows.filter(pl.col("split") != "validation")
    with pytest.raises(DataError, match="'validation'"):
        train_run(vary_recipe(tiny, {"fit.patience": 2}), no_validation, tmp_path / "a", QUIET)
    no_class = drawn_rows.filter((pl.col("split") != "train") | (pl.col("label") != "proerythroblast"))
    with pytest.raises(DataError, match="proerythroblast"):
        train_run(tiny, no_class, tmp_path / "b", QUIET)
    one_class = drawn_rows.filter(pl.col("label") == "proerythroblast")
    with pytest.raises(DataError, match="all cells have the class proerythroblast"):
        train_run(tiny, one_class, tmp_path / "c", QUIET)
    with pytest.raises(DataError, match="finished training run"):
        load_network(tmp_path / "nothing")


def test_unknown_loggers_are_refused_with_the_known_ones(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="MLFlowLogger"):
        train_run(tiny, drawn_rows, tmp_path / "run", replace(QUIET, loggers=("paper",)), cache=cell_cache)


def test_the_rate_warms_up_and_ends_at_its_final_value(tiny: FineTunedRecipe) -> None:
    recipe = vary_recipe(
        tiny,
        {
            "fit.epochs": 10,
            "optimiser.warmup_epochs": 2,
            "optimiser.rate": 1e-3,
            "optimiser.final_rate": 1e-4,
        },
    )
    rates = [find_rate(step, 10, recipe) for step in range(100)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 20
    assert rates[0] < 2e-4
    assert rates[-1] == pytest.approx(1e-4)
    assert sorted(rates[20:], reverse=True) == rates[20:]


def test_the_published_schedule_is_timm_s_and_takes_ten_epochs_more(tiny: FineTunedRecipe) -> None:
    recipe = vary_recipe(
        tiny,
        {
            "optimiser.schedule": "published",
            "optimiser.rate": 1e-3,
            "optimiser.final_rate": 1e-4,
            "optimiser.warmup_epochs": 3,
            "fit.epochs": 30,
        },
    )
    assert recipe.all_epochs == 40
    assert tiny.all_epochs == tiny.fit.epochs
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1e-3)
    theirs = CosineLRScheduler(optimiser, t_initial=30, lr_min=1e-4, warmup_t=3, warmup_lr_init=1e-4)
    for epoch in range(40):
        theirs.step(epoch)
        wanted = optimiser.param_groups[0]["lr"]
        assert [find_rate(5 * epoch + i, 5, recipe) for i in (0, 4)] == pytest.approx([wanted] * 2)


def test_precision_is_full_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_precision("auto") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_precision("auto") == "bf16-mixed"
    assert choose_precision("16-mixed") == "16-mixed"
