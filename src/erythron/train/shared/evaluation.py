"""The evaluation of a run: calls of cells that it was not trained on, and their figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from erythron.bundle.schema import Estimate, Method, SetFigures
from erythron.classify.classifier import soften
from erythron.errors import DataError
from erythron.files.hashing import hash_file
from erythron.files.tables import read_csv, write_csv
from erythron.files.writing import write_file
from erythron.train.shared.calibration import Calibration, confident_confusion
from erythron.train.shared.comparison import Comparison, compare_calls
from erythron.train.shared.metrics import Floats, Ints
from erythron.train.shared.pictures import draw_confusion, draw_precision_recall, draw_reliability
from erythron.train.shared.run_folder import WEIGHTS_FILE
from erythron.train.shared.scores import ClassScore, Scores, score_calls

FOLDER = "evaluation"
RESULT = "evaluation.json"
CALLS = "calls.csv"


@dataclass(frozen=True)
class Evaluation:
    """What a run is worth.

    Attributes:
        weights_sha256: of the weights that were evaluated.
        split_hash: of the split, or of the folds.
        method: how the judged cells were kept apart.
        folds: of a cross-validation, else 1.
        calibration: temperature and threshold.
        scores: figures of the calibrated calls of the judged cells.
        confident_confusion: (C, C + 1), the same cells with calls under the threshold in a last column.
        by_set: figures of each training set by its name, where they were measured.
        is_new: false where an earlier call had evaluated the same weights and its result was read.
    """

    weights_sha256: str
    split_hash: str
    method: Method
    folds: int
    calibration: Calibration
    scores: Scores
    confident_confusion: tuple[tuple[int, ...], ...]
    by_set: dict[str, SetFigures]
    is_new: bool


@dataclass(frozen=True)
class JudgedCells:
    """N cells that a run is judged by, called by networks that had not seen them.

    Attributes:
        rows: their manifest.
        truth: (N,) index of the true class.
        logits: (N, C), not calibrated.
        classes: names of the C classes.
        method: how they were kept apart.
        folds: of a cross-validation, else 1.
        by_set: see :class:`Evaluation`.
    """

    rows: pl.DataFrame
    truth: Ints
    logits: Floats
    classes: tuple[str, ...]
    method: Method
    folds: int = 1
    by_set: dict[str, SetFigures] | None = None


def store_evaluation(
    run: Path, split_hash: str, judged: JudgedCells, calibration: Calibration, seed: int
) -> Evaluation:
    """Score calibrated calls and write figures, calls and three pictures into the run's folder.

    Args:
        run: its folder; the weights are there.
        split_hash: of the split, or of the folds.
        judged: cells that it is judged by.
        calibration: of the logits.
        seed: of the bootstrap.
    """
    probabilities = soften(judged.logits, calibration.temperature)
    groups = judged.rows["group"].to_numpy().astype(str)
    scores = score_calls(judged.truth, probabilities, judged.classes, groups, seed)
    confident = confident_confusion(judged.truth, probabilities, calibration.threshold)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    write_calls(make_calls(judged.rows, judged.truth, probabilities, judged.classes), folder / CALLS)
    called = probabilities.argmax(axis=1)
    draw_confusion(judged.truth, called, judged.classes, folder / "confusion.png")
    draw_reliability(judged.truth, probabilities, folder / "reliability.png")
    draw_precision_recall(judged.truth, probabilities, judged.classes, folder / "precision_recall.png")
    result = Evaluation(
        weights_sha256=hash_file(run / WEIGHTS_FILE),
        split_hash=split_hash,
        method=judged.method,
        folds=judged.folds,
        calibration=calibration,
        scores=scores,
        confident_confusion=tuple(tuple(int(v) for v in row) for row in confident),
        by_set=judged.by_set or {},
        is_new=True,
    )
    write_file(folder / RESULT, dump_evaluation(result) + "\n")
    return result


def make_calls(
    rows: pl.DataFrame, truth: Ints, probabilities: Floats, classes: tuple[str, ...]
) -> pl.DataFrame:
    """Return one row a cell: path, sha256, group, label, called, confidence and ``prob_<class>``."""
    label = [classes[i] for i in truth]
    return tabulate_calls(rows.with_columns(label=pl.Series(label, dtype=pl.String)), probabilities, classes)


def tabulate_calls(rows: pl.DataFrame, probabilities: Floats, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return what :func:`make_calls` does with the label that the rows themselves have."""
    return pl.DataFrame(
        {
            **{name: rows[name] for name in ("path", "sha256", "group", "label")},
            "called": [classes[i] for i in probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
            **{f"prob_{name}": probabilities[:, i] for i, name in enumerate(classes)},
        }
    )


def write_calls(calls: pl.DataFrame, path: Path) -> None:
    """Write a table of calls as CSV."""
    write_csv(calls, path)


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two evaluated runs on the same judged cells, first minus second.

    Raises:
        DataError: a run has not been evaluated, or their cells or classes differ.
    """
    tables = [_read_calls(run) for run in (first, second)]
    keys = ["sha256", "label", "group"]
    a, b = (t.sort("sha256", "path") for t in tables)
    columns = [c for c in a.columns if c.startswith("prob_")]
    if not a.select(keys).equals(b.select(keys)) or columns != [
        c for c in b.columns if c.startswith("prob_")
    ]:
        raise DataError(f"{first} and {second} were not evaluated on the same cells and classes")
    classes = [c.removeprefix("prob_") for c in columns]
    truth = np.array([classes.index(name) for name in a["label"]], np.int64)
    groups = a["group"].to_numpy().astype(str)
    return compare_calls(truth, a.select(columns).to_numpy(), b.select(columns).to_numpy(), groups)


def dump_evaluation(evaluation: Evaluation) -> str:
    """Return an evaluation as JSON."""
    content = asdict(evaluation)
    del content["is_new"]
    content["scores"]["figures"] = {k: v.model_dump() for k, v in evaluation.scores.figures.items()}
    content["by_set"] = {k: v.model_dump() for k, v in evaluation.by_set.items()}
    return json.dumps(content, indent=1)


def read_evaluation(run: Path) -> Evaluation:
    """Return the stored evaluation of a run.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = run / FOLDER / RESULT
    try:
        content = json.loads(path.read_text())
        scores = content["scores"]
        scores["figures"] = {k: Estimate(**v) for k, v in scores["figures"].items()}
        scores["classes"] = tuple(ClassScore(**c) for c in scores["classes"])
        scores["confusion"] = tuple(tuple(row) for row in scores["confusion"])
        return Evaluation(
            **{
                **content,
                "method": Method(content["method"]),
                "calibration": Calibration(**content["calibration"]),
                "scores": Scores(**scores),
                "confident_confusion": tuple(tuple(row) for row in content["confident_confusion"]),
                "by_set": {k: SetFigures(**v) for k, v in content["by_set"].items()},
                "is_new": False,
            }
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run erythron evaluate {run}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); remove it and evaluate again") from error


def _read_calls(run: Path) -> pl.DataFrame:
    path = run / FOLDER / CALLS
    try:
        return read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read; run erythron evaluate {run} first") from error
