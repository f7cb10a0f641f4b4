"""Runs of an experiment, each done once: cut off, the same command goes on with what is missing.

The same command given several times shares the runs out: each takes those that no other has in hand. The
processes that torchrun or SLURM starts do every run together; the first alone takes it in hand and writes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from filelock import FileLock, Timeout

from erythron.datasets.folds import assign_folds
from erythron.datasets.manifest import verify_split
from erythron.errors import DataError, UsageError
from erythron.files.hashing import hash_text
from erythron.files.tables import write_csv
from erythron.files.writing import remove, write_file
from erythron.train.classifier.fine_tuned.cell_set import CACHE_FOLDER, CellSet, prepare_cells
from erythron.train.classifier.fine_tuned.checkpoints import FOLDER as CHECKPOINTS
from erythron.train.classifier.fine_tuned.checkpoints import LAST, read_checkpoint
from erythron.train.classifier.fine_tuned.predict import predict
from erythron.train.classifier.fine_tuned.run import load_network, train_run
from erythron.train.experiments.grids import Arm
from erythron.train.recipe import FineTunedRecipe
from erythron.train.recipe_file import vary_recipe
from erythron.train.shared.curves import CURVES, read_curve
from erythron.train.shared.evaluation import make_calls, write_calls
from erythron.train.shared.hardware import Checkpoint, Hardware, find_processes, find_rank
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import RUN_FILE

STATED_SPLIT = 0

BEST_EPOCH, CURVE = ".best", ".curves"
"""Endings of what a run has beside its calls."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment on one data set.

    Attributes:
        arms: what is compared.
        base: recipe that the arms change.
        seeds: 0..seeds-1, each with its own folds.
        folds: of the grouped cross-validation; ``STATED_SPLIT`` takes the manifest's own split instead.
        is_published: the test part of that split is what published figures are of, so it is called twice: by
            the weights of the last epoch, and by those of the epoch that was best on the part itself, as
            published.
    """

    arms: tuple[Arm, ...]
    base: FineTunedRecipe
    seeds: int
    folds: int
    is_published: bool = False


@dataclass(frozen=True)
class RunKey:
    """One run: arm, seed and fold."""

    arm: Arm
    seed: int
    fold: int


def list_runs(plan: Plan) -> Iterator[RunKey]:
    """Yield the runs, every arm of one seed before the next seed, so that a part is a whole comparison."""
    for seed in range(plan.seeds):
        for arm in plan.arms:
            for fold in range(max(plan.folds, 1)):
                yield RunKey(arm, seed, fold)


def do_runs(
    plan: Plan,
    rows: pl.DataFrame,
    out: Path,
    hardware: Hardware,
    progress: Progress = no_progress,
) -> None:
    """Do every run that has no calls yet and that no other process has in hand.

    Each run writes ``runs/<arm>/seed<k>-fold<j>.csv`` with the calls of its test cells, when done, and beside
    it its curves, ``….curves.csv``, and of a published split the calls of the best epoch, ``….best.csv``.

    Args:
        plan: the runs.
        rows: a manifest; with folds, its split is not looked at, and classes of fewer groups are left out.
        out: folder of this experiment and data set.
        hardware: where to compute.
        progress: called after each cell that is outlined and each run.

    Raises:
        UsageError: the folder holds an experiment of other data or settings; what is to be kept of a run
            lacks weights that are judged; or another command has a run in hand that several processes are to
            do together.
        DataError: the split leaks or a class is missing.
    """
    if plan.is_published and hardware.checkpoint is not Checkpoint.LAST:
        raise UsageError(
            "--split published judges the last epoch beside the best, and only --checkpoint last keeps both"
        )
    rows = keep_classes(rows, plan.base.label_column, plan.folds)
    _claim(out, plan, rows)
    cells = prepare_cells(rows, plan.base.label_column, plan.base.inputs, out / CACHE_FOLDER, progress)
    runs = list(list_runs(plan))
    missing = [key for key in runs if not find_calls(out, key).exists()]
    # Those that are trained and not called come last: the first of several processes does them alone, and
    # all of them have to see the same runs that are to be trained.
    missing.sort(key=lambda key: (find_calls(out, key).with_suffix("") / RUN_FILE).exists())
    for number, key in enumerate(missing, len(runs) - len(missing) + 1):
        target = find_calls(out, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(target.with_suffix(".lock"), timeout=0) if find_rank() == 0 else nullcontext():
                if not target.exists():
                    _do_run(plan, key, rows, cells, out, hardware)
        except Timeout as error:
            name = f"{key.arm.name}, seed {key.seed}, fold {key.fold}"
            if find_processes() > 1:
                raise UsageError(
                    f"{name}: another command has it in hand; several processes that do a run together "
                    "cannot leave it out, so wait for that command's end"
                ) from error
            log.info("%s: another process has it in hand", name)
        progress("Runs", number, len(runs))


def _do_run(
    plan: Plan, key: RunKey, rows: pl.DataFrame, cells: CellSet, out: Path, hardware: Hardware
) -> None:
    """Train one network and write its calls of the test cells."""
    target = find_calls(out, key)
    split = split_rows(rows, plan, key.seed, key.fold)
    folder = target.with_suffix("")
    recipe, used = make_recipe(plan.base, key), split
    if plan.is_published:
        # The judged part chooses the best epoch, so training has to see its figures, and nothing else of it.
        recipe = vary_recipe(recipe, {"fit.select": "published"})
        parts = pl.when(split["split"] == "test").then(pl.lit("validation"))
        used = split.with_columns(split=parts.when(split["split"] == "train").then(pl.lit("train")))
    if not (folder / RUN_FILE).exists():
        train_run(recipe, used, folder, hardware, cache=out / CACHE_FOLDER)
    if find_rank() != 0:
        return
    network, record = load_network(folder)
    held = cells.take(np.flatnonzero((split["split"] == "test").to_numpy()))

    def call(path: Path) -> None:
        probabilities = predict(network, record.scaling, held, recipe)
        write_calls(make_calls(held.rows, held.labels, probabilities, record.classes), path)

    if plan.is_published:
        call(find_calls(out, key, BEST_EPOCH))
        last = read_checkpoint(folder / CHECKPOINTS / LAST)
        network.load_state_dict(
            {k.removeprefix("network."): v for k, v in last.items() if k.startswith("network.")}
        )
    write_csv(read_curve(folder / CURVES), find_calls(out, key, CURVE))
    # The last of a run's files: it says that the run is done.
    call(target)
    # Weights of a hundred runs would fill the disk, and the calls hold all that the table needs.
    remove(folder)


def make_recipe(base: FineTunedRecipe, key: RunKey) -> FineTunedRecipe:
    """Return the recipe of one run."""
    return vary_recipe(base, {**key.arm.changes, "name": key.arm.name, "seed": key.seed})


def split_rows(rows: pl.DataFrame, plan: Plan, seed: int, fold: int) -> pl.DataFrame:
    """Return the manifest with the split of one fold, whole groups and copies on one side.

    Raises:
        DataError: the manifest's own split is asked for and does not hold.
    """
    if plan.folds == STATED_SPLIT:
        verify_split(rows)
        return rows
    # Where a class has fewer groups than folds, a fold without it in training would know nothing of it.
    labels = rows[plan.base.label_column].to_list()
    folds = assign_folds(labels, rows["group"].to_list(), plan.folds, seed)
    is_test = pl.Series(folds == fold)
    return rows.with_columns(pl.when(is_test).then(pl.lit("test")).otherwise(pl.lit("train")).alias("split"))


def find_calls(out: Path, key: RunKey, of: str = "") -> Path:
    """Return where the calls of a run are, or what else of it: ``BEST_EPOCH`` or ``CURVE``."""
    slug = "".join(c if c.isalnum() else "-" for c in key.arm.name.lower())
    return out / "runs" / slug / f"seed{key.seed}-fold{key.fold}{of}.csv"


def keep_classes(rows: pl.DataFrame, column: str, folds: int) -> pl.DataFrame:
    """Return the rows that have a label, without classes of fewer groups than folds.

    A class with fewer groups would be absent from some fold's training and tested all the same.

    Raises:
        DataError: the column is missing, or fewer than two classes are left.
    """
    if column not in rows.columns:
        raise DataError(f"the manifest has no column '{column}'; it has {', '.join(rows.columns)}")
    labelled = rows.filter(pl.col(column).is_not_null())
    kept = labelled.filter(pl.col("group").n_unique().over(column) >= max(folds, 1))
    if kept[column].n_unique() < 2:
        raise DataError(
            f"fewer than two classes of '{column}' have {folds} groups or more; take fewer folds or more data"
        )
    return kept


def _claim(out: Path, plan: Plan, rows: pl.DataFrame) -> None:
    content = json.dumps(
        {
            "base": plan.base.model_dump(mode="json"),
            "folds": plan.folds,
            **({"is_published": True} if plan.is_published else {}),
            "rows": hash_text("\n".join(sorted(rows["sha256"]))),
        },
        indent=1,
    )
    path = out / "experiment.json"
    if path.exists() and path.read_text() != content:
        raise UsageError(f"{out}: holds an experiment with other data or settings; name another folder")
    write_file(path, content)
