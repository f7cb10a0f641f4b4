"""The folder of a training run: what it is for, and what it holds when it is finished."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from erythron.bundle.schema import DataUsed, MeasurementStatistic
from erythron.errors import DataError, ErythronError, UsageError
from erythron.files.locking import LOCK
from erythron.files.tables import write_parquet
from erythron.files.writing import whole_file, write_file
from erythron.train.recipe import Recipe
from erythron.train.recipe_file import read_recipe
from erythron.train.shared.backbones import PixelScaling

RUN_FILE = "run.json"
WEIGHTS_FILE = "weights.pt"
ROWS_FILE = "manifest.parquet"
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class RunRecord:
    """What a finished run was and is, as ``run.json`` keeps it.

    Attributes:
        recipe: all of it.
        classes: in the order of the outputs.
        priors: share of each class in the training cells whose class is known.
        scaling: of the pixels.
        data: what the training cells came from.
        measurements: of the training cells.
        split_hash: of the split, or of the folds of the cross-validation.
        cells: training cells.
        seconds: of training, the time of an interrupted part left out.
        metrics: what training measured, in its own words; no evaluation.
        epochs_run: may be fewer than planned after an early stop; None where there are no epochs.
        cache: folder of the prepared cells; where it has gone they are prepared anew. None where none are
            kept.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    priors: tuple[float, ...]
    scaling: PixelScaling
    data: tuple[DataUsed, ...]
    measurements: tuple[MeasurementStatistic, ...]
    split_hash: str
    cells: int
    seconds: float
    metrics: dict[str, float]
    epochs_run: int | None = None
    cache: str | None = None


class FinishedRunError(UsageError):
    """The folder holds the run that is asked for, of the same recipe and split, and it is finished."""


def claim_folder(out: Path, recipe: Recipe, split_hash: str, ignored: tuple[str, ...] = ()) -> None:
    """Write what a folder is for, or refuse it where it is for something else.

    Args:
        out: folder of the run.
        recipe: what is trained.
        split_hash: on which split.
        ignored: names inside that may be there before a run.

    Raises:
        FinishedRunError: it holds this very run, which is finished.
        UsageError: the folder holds another run or something else.
    """
    plan = out / PLAN_FILE
    wanted = {"recipe": recipe.model_dump(mode="json"), "split_hash": split_hash}
    if plan.exists():
        if json.loads(plan.read_text()) != wanted:
            raise UsageError(
                f"{out}: holds a run of another recipe or split; name another folder or give the same again"
            )
    elif out.exists() and any(p.name not in (*ignored, LOCK) for p in out.iterdir()):
        raise UsageError(f"{out}: is not empty and holds no run; name a new folder")
    else:
        write_file(plan, json.dumps(wanted, indent=1))
    if (out / RUN_FILE).exists():
        raise FinishedRunError(f"{out}: this run is finished; evaluate it, or name another folder")


def store_weights(out: Path, weights: dict[str, Tensor], rows: pl.DataFrame) -> None:
    """Write the result's weights, and the manifest that it was trained on."""
    with whole_file(out / WEIGHTS_FILE) as partial:
        torch.save(weights, partial)
    write_parquet(rows, out / ROWS_FILE)


def store_record(out: Path, record: RunRecord) -> None:
    """Write the record, last of all: it says that the run is finished."""
    content = {
        **asdict(record),
        "recipe": record.recipe.model_dump(mode="json"),
        "data": [d.model_dump(mode="json") for d in record.data],
        "measurements": [m.model_dump(mode="json") for m in record.measurements],
    }
    write_file(out / RUN_FILE, json.dumps(content, indent=1) + "\n")


def read_record(run: Path) -> RunRecord:
    """Return the record of a finished run.

    Raises:
        DataError: the folder is no finished run.
    """
    path = run / RUN_FILE
    try:
        content = json.loads(path.read_text())
        scaling = content["scaling"]
        return RunRecord(
            **{
                **content,
                "recipe": read_recipe(content["recipe"], str(path)),
                "classes": tuple(content["classes"]),
                "priors": tuple(content["priors"]),
                "scaling": PixelScaling(tuple(scaling["mean"]), tuple(scaling["sd"])),
                "data": tuple(DataUsed(**d) for d in content["data"]),
                "measurements": tuple(MeasurementStatistic(**m) for m in content["measurements"]),
            }
        )
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give the folder of a finished training run"
        ) from error
    except (TypeError, ValueError, KeyError, ErythronError) as error:
        raise DataError(f"{path}: is damaged or of another version ({error}); train again") from error


def read_weights(run: Path) -> dict[str, Tensor]:
    """Return the stored weights of a run; nothing but tensors is unpickled.

    Raises:
        DataError: they cannot be read, or hold more than tensors.
    """
    path = run / WEIGHTS_FILE
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    # torch says by errors of many kinds that a file is none of its own.
    except Exception as error:
        raise DataError(f"{path}: cannot be loaded ({error}); train again") from error
    return weights
