"""Calls for a batch of single-cell crops, as the ``classify`` command writes them.

Work is done in chunks. A finished chunk is kept beside the output until the run ends, under a name that its
inputs and settings determine, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from erythron.bundle.folder import load_bundle
from erythron.cells.flags import CellFlag, has_flag
from erythron.cells.table import is_unlike_training, list_cell_columns
from erythron.errors import ImageReadError, UsageError
from erythron.files.hashing import hash_text
from erythron.files.locking import lock_folder
from erythron.files.reading import open_regular, read_content
from erythron.files.tables import format_csv, parse_csv, write_csv
from erythron.files.writing import PARTIAL_SUFFIX, remove, write_file
from erythron.pipeline.crop import classify_crop, flag_not_one_cell
from erythron.pipeline.executor import Executor, Failure, LocalExecutor, Progress, no_progress
from erythron.pipeline.field import load_networks
from erythron.pipeline.options import RunOptions
from erythron.quality.flags import THRESHOLDS, FieldQuality, QualityFlag, judge_field
from erythron.quality.image import measure_unlike
from erythron.read.inputs import InputImage
from erythron.read.source import open_source, read_whole
from erythron.results.fingerprint import (
    StepSettings,
    fingerprint,
    fingerprint_calls,
    fingerprint_outlines,
    hash_image,
)

CHUNK = 64
"""Images a chunk: a killed run loses at most this many."""

_BEGINNING = b"image,label,confidence,prob_"
"""How a table of calls begins, by which one of erythron's is known."""

_LEFT_OUT = ("cell_id", "x_px", "y_px", "width_px", "height_px")


@dataclass(frozen=True)
class ClassifyRun:
    """What a classify run did.

    Attributes:
        calls: one row an image, in the order given.
        failures: inputs without a row.
        flags: what a reader of the calls should know first, see :func:`judge_calls`.
    """

    calls: pl.DataFrame
    failures: tuple[Failure, ...]
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True)
class _Chunk:
    csv: str
    failures: tuple[Failure, ...]


_CHUNK_JSON: TypeAdapter[_Chunk] = TypeAdapter(_Chunk)


@dataclass(frozen=True)
class ClassifyTask:
    """Naming of crops as plain data, see :class:`erythron.pipeline.executor.Task`."""

    options: RunOptions

    def start(self) -> Callable[[InputImage], pl.DataFrame]:
        """Return the function that names the central cell of one crop."""
        networks = load_networks(load_bundle(self.options.model), kind=self.options.runtime)

        def classify(image: InputImage) -> pl.DataFrame:
            found = classify_crop(read_whole(open_source(image.path, self.options.mpp)), networks)
            if found.is_empty():
                raise ImageReadError(
                    f"{image.path}: no nucleated cell at the centre; "
                    "give single-cell crops here, or whole fields to 'erythron count'"
                )
            return found.drop(_LEFT_OUT)

        return classify


def classify_images(
    inputs: Sequence[InputImage],
    out: Path,
    options: RunOptions,
    progress: Progress = no_progress,
    executor: Executor | None = None,
) -> ClassifyRun:
    """Name the central cell of every crop and write the calls to one CSV.

    Args:
        inputs: the crops.
        out: the file to write.
        options: model, scale and whether to replace.
        progress: called after each image.
        executor: where to work; None is this machine.

    Raises:
        UsageError: the output is there already and ``force`` is not set.
        BundleError: the model cannot be used.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder; give --out the path of a CSV file")
    if out.exists():
        if not _is_table_of_calls(out):
            raise UsageError(f"{out} is there and erythron did not write it; choose another --out")
        if not options.force:
            raise UsageError(f"{out} is there already; add --force to replace it or choose another --out")
    bundle = load_bundle(options.model)
    steps = StepSettings(bundle, options.mpp, runtime=options.runtime)
    schema = {k: v for k, v in list_cell_columns(bundle.classes).items() if k not in _LEFT_OUT}
    finished = out.with_name(f".{hash_text(out.name)[:16]}.chunks{PARTIAL_SUFFIX}")
    stored = {
        start: finished
        / f"{fingerprint(*(_identify(steps, image) for image in inputs[start : start + CHUNK]))}.json"
        for start in range(0, len(inputs), CHUNK)
    }
    tables: list[pl.DataFrame] = []
    failures: list[Failure] = []
    with lock_folder(finished):
        left = [
            image
            for start, path in stored.items()
            if not path.exists()
            for image in inputs[start : start + CHUNK]
        ]
        outcomes = (executor or LocalExecutor()).run(ClassifyTask(options), left)
        for start, path in stored.items():
            part = inputs[start : start + CHUNK]
            if path.exists():
                chunk = _CHUNK_JSON.validate_json(read_content(path))
                for image in part:
                    progress(image.name)
            else:
                chunk = _take_chunk(islice(outcomes, len(part)), progress)
                write_file(path, _CHUNK_JSON.dump_json(chunk))
            failures.extend(chunk.failures)
            if chunk.csv:
                tables.append(parse_csv(chunk.csv.encode(), schema))
        calls = pl.concat(tables) if tables else pl.DataFrame(schema=schema)
        write_csv(calls, out)
    remove(finished)
    return ClassifyRun(calls, tuple(failures), judge_calls(calls))


def judge_calls(calls: pl.DataFrame) -> tuple[QualityFlag, ...]:
    """Return the flags of the cells of many pictures: those unlike the training, and pictures of many cells.

    The share of cells that are unlike the training is judged as that of a field. Where there are too few of
    them for that, or too few cells, the flag ``some_unlike_training`` says how many they are.

    Args:
        calls: one row a picture, with the columns ``image``, ``novelty`` and ``flags``.
    """
    flags = judge_field(FieldQuality(unlike_fraction=measure_unlike(calls)), THRESHOLDS)
    unlike = calls.filter(is_unlike_training()).height
    if unlike and not flags:
        looks, theirs = ("looks", "its call") if unlike == 1 else ("look", "their calls")
        text = (
            f"{unlike} of {calls.height} cells {looks} unlike nearly all that the model learned from "
            f"(novelty over 1), where 1 % is usual; {theirs} may be wrong"
        )
        flags.append(QualityFlag("some_unlike_training", text, unlike / calls.height))
    many = calls.filter(has_flag(CellFlag.NOT_ONE_CELL))["image"].to_list()
    instead = "count a field with 'erythron count'"
    return (*flags, *flag_not_one_cell(many, "named", instead))


def _identify(steps: StepSettings, image: InputImage) -> str:
    """Return what a chunk's name says of an image: its fingerprint or, where it cannot be read, why."""
    try:
        return fingerprint_calls(steps, fingerprint_outlines(steps, image.name, hash_image(image.path)))
    except ImageReadError as error:
        return str(error)


def _take_chunk(outcomes: Iterator[tuple[InputImage, pl.DataFrame | Failure]], progress: Progress) -> _Chunk:
    rows: list[pl.DataFrame] = []
    failures: list[Failure] = []
    for image, outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            rows.append(outcome)
        progress(image.name)
    return _Chunk(format_csv(pl.concat(rows)) if rows else "", tuple(failures))


def _is_table_of_calls(path: Path) -> bool:
    """Return whether a file begins as the table that an earlier run wrote."""
    try:
        with open_regular(path) as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False
