"""Training of a frozen encoder's head: grouped cross-validation of every set, then the fit on all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from erythron.bundle.schema import DataUsed, Method
from erythron.classify.classifier import soften
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.datasets.manifest import hash_rows
from erythron.errors import DataError, UsageError
from erythron.files.tables import write_csv
from erythron.train.classifier.frozen.head import FittedHead, fit_head
from erythron.train.classifier.frozen.left_out import CLASSES, call_out_of_fold, judge_sets
from erythron.train.classifier.frozen.memory import MEMORY, Memory, store_memory
from erythron.train.classifier.frozen.network import ShapeFeatures, assemble_network
from erythron.train.classifier.frozen.segmenters import make_segmenters
from erythron.train.classifier.frozen.sources import (
    FeatureMaker,
    FoldedSet,
    Source,
    fold_set,
    join_examples,
    make_source,
)
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.backbones import ENCODER, find_scaling, load_encoder
from erythron.train.shared.calibration import HeldOut, calibrate
from erythron.train.shared.evaluation import (
    FOLDER,
    Evaluation,
    JudgedCells,
    store_evaluation,
    tabulate_calls,
    write_calls,
)
from erythron.train.shared.framed_cells import describe_measurements
from erythron.train.shared.metrics import Floats
from erythron.train.shared.novelty import Novelty, fit_novelty, set_limits
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import RunRecord, claim_folder, store_record, store_weights
from erythron.train.shared.scores import mark_erythroid
from erythron.train.shared.segmentation_part import FOLDER as SEGMENTATION_FOLDER
from erythron.train.shared.sets import describe_data, open_sets

LEFT_OUT = "left_out.csv"

FIT = "Fitting the head"
"""Stage of the training as it is shown."""


@dataclass(frozen=True)
class _OutOfFold:
    """Logits of every set's cells by heads that had not seen them, and all their novelty distances."""

    logits: list[Floats]
    distances: Floats


def train_frozen(
    recipe: FrozenRecipe, out: Path, threads: int, progress: Progress = no_progress
) -> RunRecord:
    """Cross-validate a recipe on its sets, fit on all of them, and write the run's folder.

    The folder ends up with ``run.json``, ``weights.pt``, ``manifest.parquet``, the segmentation network, the
    ``evaluation`` by out-of-fold calls, and ``left_out.csv`` with the images that were not used and why.

    Args:
        recipe: what to train.
        out: folder of the run.
        threads: of torch.
        progress: called after each cell that is outlined and each fold.

    Raises:
        UsageError: a set cannot be found, none is judged, or the folder holds something else.
        DataError: a set cannot be used.
        BundleError: the bundle whose segmentation network is to be taken cannot be used.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    opened = open_sets(recipe.sets)
    if not any(entry.judged for entry in recipe.sets):
        raise UsageError(f"{recipe.name}: no set is judged; add judged = true to one of its [[sets]]")
    sets = [fold_set(part, recipe) for part in opened]
    split_hash = hash_folds(sets)
    claim_folder(out, recipe, split_hash, (SEGMENTATION_FOLDER,))
    maker = FeatureMaker(
        ShapeFeatures(load_encoder()).eval(), find_scaling(ENCODER), make_segmenters(recipe, out)
    )
    sources = [make_source(part, recipe, maker, progress) for part in sets]
    write_csv(_list_left_out(sets, sources), out / LEFT_OUT)
    used = {s: o.entry for o in opened for s in o.rows["source"].unique()}
    data = describe_data(pl.concat([s.rows for s in sources], how="diagonal"), used)
    return fit_run(sources, data, maker, recipe, out, (split_hash, started, progress))


def fit_run(
    sources: Sequence[Source],
    data: tuple[DataUsed, ...],
    maker: FeatureMaker,
    recipe: FrozenRecipe,
    out: Path,
    course: tuple[str, float, Progress],
) -> RunRecord:
    """Cross-validate a head on its sources, fit it on all of them, and write the run's folder.

    Args:
        sources: ready to fit; one at least is judged.
        data: what they came from.
        maker: of their features.
        recipe: how to fit.
        out: folder of the run, which is claimed.
        course: hash of the folds, when the training began by ``time.monotonic``, and what to call after each
            fold.

    Raises:
        DataError: no cell of a judged source has a known class.
    """
    split_hash, started, progress = course
    found = _cross_validate(sources, recipe, progress)
    progress(FIT, 0, 1)
    head = fit_head(join_examples(sources, None), recipe.head)
    progress(FIT, 1, 1)
    novelty = set_limits(_fit_novelty(sources, head, None), found.distances)
    k = len(MEASUREMENT_INPUTS)
    rows = pl.concat([s.rows for s in sources], how="diagonal")
    judged, held = _judge(sources, found, recipe, progress)
    network = assemble_network(maker.encoder, head, novelty)
    store_weights(out, network.state_dict(), rows)
    store_memory(Memory(recipe, tuple(sources)), out / MEMORY)
    calibration = calibrate(held, mark_erythroid(CLASSES), recipe.risk)
    evaluation = store_evaluation(out, split_hash, judged, calibration, recipe.seed)
    _store_other_calls(sources, found, evaluation, out)
    record = RunRecord(
        recipe=recipe,
        classes=CLASSES,
        priors=_find_priors(rows),
        scaling=maker.scaling,
        data=data,
        measurements=describe_measurements(head.mean[-k:], head.sd[-k:]),
        split_hash=split_hash,
        cells=rows.height,
        seconds=round(time.monotonic() - started, 1),
        metrics={},
    )
    store_record(out, record)
    return record


def hash_folds(sets: Sequence[FoldedSet | Source]) -> str:
    """Return the SHA-256 over which content, with which class and group, is in which fold."""
    rows = [s.rows.select("source", "sha256", "class", "group").with_columns(fold=s.folds) for s in sets]
    return hash_rows(pl.concat(rows).with_columns(group=pl.concat_str("group", pl.lit("/"), "fold")))


def _cross_validate(sources: Sequence[Source], recipe: FrozenRecipe, progress: Progress) -> _OutOfFold:
    distances = []
    stage = f"Cross-validation of {sum(len(source.folds) for source in sources)} cells"
    progress(stage, 0, recipe.folds)

    def measure(fold: int, head: FittedHead) -> None:
        novelty = _fit_novelty(sources, head, fold)
        for source in sources:
            here = source.folds == fold
            distances.append(novelty.distances(_pooled(source.samples[0][here], head)))
        progress(stage, fold + 1, recipe.folds)

    logits = call_out_of_fold(sources, recipe, measure)
    return _OutOfFold(logits, np.concatenate(distances))


def _fit_novelty(sources: Sequence[Source], head: FittedHead, without: int | None) -> Novelty:
    examples = join_examples(sources, without)
    return fit_novelty(_pooled(examples.features, head), examples.allowed.argmax(axis=1))


def _pooled(features: NDArray[np.float32], head: FittedHead) -> Floats:
    """Return the standardised image features without the measurements, which follow them."""
    return head.standardise(features)[:, : -len(MEASUREMENT_INPUTS)].astype(np.float64)


def _judge(
    sources: Sequence[Source], found: _OutOfFold, recipe: FrozenRecipe, progress: Progress
) -> tuple[JudgedCells, HeldOut]:
    """Return the judged cells of known class, and the same cells as what calibration is chosen on."""
    chosen = [
        (source.rows.filter(known), logits[known.to_numpy()])
        for source, logits in zip(sources, found.logits, strict=True)
        if source.is_judged
        for known in [source.rows["class"].is_not_null()]
    ]
    rows = pl.concat([part for part, _ in chosen], how="diagonal")
    if rows.is_empty():
        raise DataError(f"{recipe.name}: no cell of a judged set has a known class; judge another set")
    logits = np.concatenate([part for _, part in chosen])
    truth = np.array([CLASSES.index(name) for name in rows["class"]], np.int64)
    names = ", ".join(s.name for s in sources if s.is_judged)
    by_set = judge_sets(sources, found.logits, recipe, progress)
    judged = JudgedCells(rows, truth, logits, CLASSES, Method.CROSS_VALIDATION, recipe.folds, by_set)
    return judged, HeldOut(logits, truth, f"out-of-fold cells of {names}")


def _find_priors(rows: pl.DataFrame) -> tuple[float, ...]:
    known = rows["class"].drop_nulls().to_list()
    return tuple(known.count(name) / max(len(known), 1) for name in CLASSES)


def _list_left_out(sets: Sequence[FoldedSet], sources: Sequence[Source]) -> pl.DataFrame:
    parts = []
    for folded, source in zip(sets, sources, strict=True):
        unfound = folded.rows.join(source.rows, on=["path", "sha256"], how="anti")
        parts.append(folded.left_out)
        parts.append(unfound.select("path", reason=pl.lit("no cell was found in it")))
    return pl.concat(parts)


def _store_other_calls(
    sources: Sequence[Source], found: _OutOfFold, evaluation: Evaluation, out: Path
) -> None:
    """Write the out-of-fold calls of the sets that are not judged, with the label as the set has it."""
    for source, logits in zip(sources, found.logits, strict=True):
        if not source.is_judged:
            probabilities = soften(logits, evaluation.calibration.temperature)
            calls = tabulate_calls(source.rows, probabilities, CLASSES)
            write_calls(calls, out / FOLDER / f"calls_{source.name}.csv")
