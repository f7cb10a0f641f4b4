"""The test part of a run's split, looked at once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from erythron.bundle.schema import Estimate
from erythron.errors import DataError, UsageError
from erythron.files.hashing import hash_file
from erythron.train.cellset import CACHE_FOLDER, prepare_cells
from erythron.train.compare import Comparison, compare_calls
from erythron.train.figures import draw_confusion, draw_precision_recall, draw_reliability
from erythron.train.predict import predict
from erythron.train.progress import Progress, no_progress
from erythron.train.run import ROWS_FILE, WEIGHTS_FILE, load_network
from erythron.train.scores import ClassScore, Scores, score_calls

FOLDER = "evaluation"
RESULT = "evaluation.json"
CALLS = "calls.csv"


@dataclass(frozen=True)
class Evaluation:
    """What a run is worth on its test part.

    Attributes:
        weights_sha256: of the weights that were evaluated.
        split_hash: of the split.
        scores: the figures.
        is_new: false where an earlier call had evaluated the same weights and its result was read.
    """

    weights_sha256: str
    split_hash: str
    scores: Scores
    is_new: bool


def evaluate_run(run: Path, progress: Progress = no_progress) -> Evaluation:
    """Evaluate a finished run on its test part, or return the stored result of an earlier call.

    Writes ``evaluation/evaluation.json``, ``calls.csv`` and three pictures into the run's folder. The test
    part is called once: another call returns what is stored.

    Args:
        run: folder of a finished run.
        progress: called after each cell that has to be outlined again.

    Raises:
        DataError: the folder is no finished run, or its test part is empty.
        UsageError: its test part was evaluated with other weights.
    """
    network, record = load_network(run)
    digest = hash_file(run / WEIGHTS_FILE)
    folder = run / FOLDER
    if (folder / RESULT).exists():
        stored = read_evaluation(run)
        if stored.weights_sha256 != digest:
            raise UsageError(
                f"{folder}: the test part was evaluated with other weights; a second look would choose "
                "by it. Train into a new folder, on a new split"
            )
        return stored
    rows = pl.read_parquet(run / ROWS_FILE)
    kept = Path(record.cache)
    cache = kept if kept.is_dir() else run / CACHE_FOLDER
    cells = prepare_cells(rows, record.recipe.label_column, record.recipe.inputs, cache, progress)
    test = cells.take_split("test")
    if not len(test.labels):
        raise DataError(
            f"{run}: the manifest has no cells in its part 'test'; split it with erythron data split"
        )
    probabilities = predict(network, record.scaling, test, record.recipe.inputs.px)
    groups = test.rows["group"].to_numpy().astype(str)
    scores = score_calls(test.labels, probabilities, record.classes, groups, record.recipe.seed)
    folder.mkdir(exist_ok=True)
    make_calls(test.rows, test.labels, probabilities, record.classes).write_csv(folder / CALLS)
    called = probabilities.argmax(axis=1)
    draw_confusion(test.labels, called, record.classes, folder / "confusion.png")
    draw_reliability(test.labels, probabilities, folder / "reliability.png")
    draw_precision_recall(test.labels, probabilities, record.classes, folder / "precision_recall.png")
    result = Evaluation(digest, record.split_hash, scores, is_new=True)
    (folder / RESULT).write_text(dump_evaluation(result) + "\n")
    return result


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two evaluated runs on the same test cells, first minus second.

    Raises:
        DataError: a run has not been evaluated, or their test cells or classes differ.
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


def make_calls(
    rows: pl.DataFrame, truth: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> pl.DataFrame:
    """Return one row a cell: path, sha256, group, label, called, confidence and ``prob_<class>``."""
    return pl.DataFrame(
        {
            "path": rows["path"],
            "sha256": rows["sha256"],
            "group": rows["group"],
            "label": [classes[i] for i in truth],
            "called": [classes[i] for i in probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
            **{f"prob_{name}": probabilities[:, i] for i, name in enumerate(classes)},
        }
    )


def dump_evaluation(evaluation: Evaluation) -> str:
    """Return an evaluation as JSON."""
    content = asdict(evaluation)
    del content["is_new"]
    content["scores"]["figures"] = {k: v.model_dump() for k, v in evaluation.scores.figures.items()}
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
        return Evaluation(content["weights_sha256"], content["split_hash"], Scores(**scores), is_new=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run erythron evaluate {run}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); remove it and evaluate again") from error


def _read_calls(run: Path) -> pl.DataFrame:
    path = run / FOLDER / CALLS
    try:
        return pl.read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read; run erythron evaluate {run} first") from error
