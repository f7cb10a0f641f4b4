"""The test part of a run's split, looked at once; calibration and novelty come from cells not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Method
from erythron.errors import DataError, UsageError
from erythron.files.hashing import hash_file
from erythron.files.tables import read_parquet
from erythron.files.writing import write_file
from erythron.train.classifier.fine_tuned.cell_set import CACHE_FOLDER, CellSet, prepare_cells
from erythron.train.classifier.fine_tuned.predict import predict_features
from erythron.train.classifier.fine_tuned.run import find_recipe, load_network
from erythron.train.recipe import Selection
from erythron.train.shared.calibration import HeldOut, calibrate
from erythron.train.shared.evaluation import (
    FOLDER,
    RESULT,
    Evaluation,
    JudgedCells,
    read_evaluation,
    store_evaluation,
)
from erythron.train.shared.framed_cells import LEAST_SD
from erythron.train.shared.novelty import Novelty, fit_novelty, set_limits
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import ROWS_FILE, WEIGHTS_FILE, RunRecord
from erythron.train.shared.scores import mark_erythroid

NOVELTY_FILE = "novelty.npz"

LIMIT = 6.0
"""Standard deviations at which features are cut for their novelty, as those of the frozen encoder are."""


@dataclass(frozen=True)
class FeatureNovelty:
    """A measure of novelty of a network's features, with what standardises them.

    Attributes:
        mean: (D,) float64.
        sd: (D,) float64.
        fitted: on features in standard deviations, cut at ``LIMIT``.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    fitted: Novelty

    def standardise(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return features in standard deviations, cut at ``LIMIT``, (N, D)."""
        return np.asarray(np.clip((features - self.mean) / self.sd, -LIMIT, LIMIT))


def evaluate_fine_tuned(run: Path, progress: Progress = no_progress) -> Evaluation:
    """Evaluate a finished run on its test part, or return the stored result of an earlier call.

    Temperature, threshold and the limits of novelty are chosen on the validation part; where the manifest
    has none, on the test part itself, which the result says. Writes ``evaluation/evaluation.json``,
    ``calls.csv``, ``novelty.npz`` and three pictures into the run's folder. The test part is called once:
    another call returns what is stored.

    Args:
        run: folder of a finished run.
        progress: called after each cell that has to be outlined again.

    Raises:
        DataError: the folder is no finished run, or its test part is empty.
        UsageError: its test part was evaluated with other weights.
    """
    network, record = load_network(run)
    if (run / FOLDER / RESULT).exists():
        return _read_stored(run)
    cells = _read_cells(run, record, progress)
    test = cells.take_split("test")
    if not len(test.labels):
        raise DataError(
            f"{run}: the manifest has no cells in its part 'test'; split it with erythron data split"
        )
    recipe = find_recipe(record)

    def predict(part: CellSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = predict_features(network, record.scaling, part, recipe)
        return found.logits, found.features

    training, validation = cells.take_split("train"), cells.take_split("validation")
    logits, features = predict(test)
    held, held_features = (
        HeldOut(logits, test.labels, "test part, for the manifest has no validation part"),
        features,
    )
    if len(validation.labels):
        found, held_features = predict(validation)
        chose = recipe.fit.patience or recipe.fit.select is not Selection.LAST
        name = "validation part" + (", which also chose the epoch" if chose else "")
        held = HeldOut(found, validation.labels, name)
    novelty = _fit(predict(training)[1], training.labels, held_features)
    (run / FOLDER).mkdir(exist_ok=True)
    _store_novelty(novelty, run)
    judged = JudgedCells(test.rows, test.labels, logits, record.classes, Method.TEST_PART)
    calibration = calibrate(held, mark_erythroid(record.classes), recipe.risk)
    return store_evaluation(run, record.split_hash, judged, calibration, recipe.seed)


def _read_stored(run: Path) -> Evaluation:
    stored = read_evaluation(run)
    if stored.weights_sha256 != hash_file(run / WEIGHTS_FILE):
        raise UsageError(
            f"{run / FOLDER}: the test part was evaluated with other weights; a second look would choose "
            "by it. Train into a new folder, on a new split"
        )
    return stored


def _read_cells(run: Path, record: RunRecord, progress: Progress) -> CellSet:
    recipe = find_recipe(record)
    rows = read_parquet(run / ROWS_FILE)
    kept = Path(record.cache) if record.cache else None
    cache = kept if kept is not None and kept.is_dir() else run / CACHE_FOLDER
    return prepare_cells(rows, recipe.label_column, recipe.inputs, cache, progress)


def _fit(
    training: NDArray[np.float64], labels: NDArray[np.int64], held: NDArray[np.float64]
) -> FeatureNovelty:
    mean, sd = training.mean(axis=0), training.std(axis=0) + LEAST_SD
    plain = FeatureNovelty(mean, sd, fit_novelty(np.clip((training - mean) / sd, -LIMIT, LIMIT), labels))
    limited = set_limits(plain.fitted, plain.fitted.distances(plain.standardise(held)))
    return FeatureNovelty(mean, sd, limited)


def _store_novelty(novelty: FeatureNovelty, run: Path) -> None:
    stored = BytesIO()
    np.savez(stored, mean=novelty.mean, sd=novelty.sd, **vars(novelty.fitted))
    write_file(run / FOLDER / NOVELTY_FILE, stored.getvalue())


def read_novelty(run: Path) -> FeatureNovelty:
    """Return the stored measure of novelty of an evaluated run.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = run / FOLDER / NOVELTY_FILE
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = ("directions", "whiten", "centres", "limits")
            return FeatureNovelty(stored["mean"], stored["sd"], Novelty(*(stored[n] for n in names)))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run erythron evaluate {run}") from error
