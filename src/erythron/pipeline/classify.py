"""Calls for a batch of single-cell crops, as the ``classify`` command writes them.

Work is done in chunks. A finished chunk is kept beside the output until the run ends, under a name that its
inputs and settings determine, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from erythron.bundle.folder import load_bundle
from erythron.classify.calls import calls_schema
from erythron.errors import ImageReadError, UsageError
from erythron.files.writing import PARTIAL_SUFFIX, remove, write_file
from erythron.pipeline.batch import Failure, Progress, RunOptions, no_progress, run_batch
from erythron.pipeline.field import Networks, classify_crop, load_networks
from erythron.read.fields import read_image
from erythron.read.inputs import InputImage
from erythron.results.fingerprint import Settings, fingerprint, hash_bundle, hash_file

CHUNK = 64
"""Images a chunk: a killed run loses at most this many."""

_LEFT_OUT = ("cell_id", "x_px", "y_px", "width_px", "height_px")


@dataclass(frozen=True)
class ClassifyRun:
    """What a classify run did.

    Attributes:
        calls: one row an image, in the order given.
        failures: inputs without a row.
    """

    calls: pl.DataFrame
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Chunk:
    csv: str
    failures: tuple[Failure, ...]


_CHUNK_JSON: TypeAdapter[_Chunk] = TypeAdapter(_Chunk)


def classify_images(
    inputs: Sequence[InputImage], out: Path, options: RunOptions, progress: Progress = no_progress
) -> ClassifyRun:
    """Name the central cell of every crop and write the calls to one CSV.

    Raises:
        UsageError: the output is there already and ``force`` is not set.
        BundleError: the model cannot be used.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder; give --out the path of a CSV file")
    if out.exists() and not options.force:
        raise UsageError(f"{out} is there already; add --force to replace it or choose another --out")
    bundle = load_bundle(options.model)
    networks = load_networks(bundle)
    settings = Settings("classify", options.mpp, hash_bundle(bundle))
    schema = {k: v for k, v in calls_schema(bundle).items() if k not in _LEFT_OUT}
    finished = out.with_name(f".{out.name}.chunks{PARTIAL_SUFFIX}")
    tables: list[pl.DataFrame] = []
    failures: list[Failure] = []

    for start in range(0, len(inputs), CHUNK):
        part = inputs[start : start + CHUNK]
        stored = finished / f"{fingerprint(settings, *(_identify(image) for image in part))}.json"
        if stored.exists():
            chunk = _CHUNK_JSON.validate_json(stored.read_bytes())
            for image in part:
                progress(str(image.path))
        else:
            chunk = _classify_chunk(part, networks, options.mpp, progress)
            write_file(stored, _CHUNK_JSON.dump_json(chunk))
        failures.extend(chunk.failures)
        if chunk.csv:
            tables.append(pl.read_csv(io.StringIO(chunk.csv), schema=schema))

    calls = pl.concat(tables) if tables else pl.DataFrame(schema=schema)
    write_file(out, calls.write_csv())
    remove(finished)
    return ClassifyRun(calls, tuple(failures))


def _identify(image: InputImage) -> str:
    """Return what a chunk's name says of an image: its path and, where it can be read, its hash."""
    try:
        return f"{image.path}:{hash_file(image.path)}"
    except ImageReadError as error:
        return str(error)


def _classify_chunk(
    part: Sequence[InputImage], networks: Networks, mpp: float | None, progress: Progress
) -> _Chunk:
    rows: list[pl.DataFrame] = []

    def work(image: InputImage) -> None:
        found = classify_crop(read_image(image.path, mpp), networks)
        if found.table.is_empty():
            raise ImageReadError(
                f"{image.path}: no nucleated cell at the centre; "
                "give single-cell crops here, or whole fields to 'erythron count'"
            )
        rows.append(found.table.drop(_LEFT_OUT))

    failures = run_batch(part, work, progress)
    return _Chunk(pl.concat(rows).write_csv() if rows else "", failures)
