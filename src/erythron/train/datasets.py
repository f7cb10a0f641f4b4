"""Data of a training command: a manifest file, or a public set by its name."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from erythron.data.manifest import read_manifest
from erythron.data.sets import READERS, read_set
from erythron.errors import UsageError
from erythron.stages import ERYTHROID_STAGES


def load_rows(data: str, stages_only: bool = False) -> pl.DataFrame:
    """Return the manifest that a command line names.

    Args:
        data: path of a ``.parquet`` or ``.csv`` manifest, or the name of a public set in
            ``ERYTHRON_DATA_DIR``.
        stages_only: only cells of the four erythroid stages.

    Raises:
        UsageError: it is neither, or no cell is left.
        DataError: the manifest or the set cannot be read.
    """
    rows = _read_rows(data)
    if stages_only:
        rows = rows.filter(pl.col("label").is_in([s.name for s in ERYTHROID_STAGES]))
        if rows.is_empty():
            raise UsageError(f"{data}: has no cell of an erythroid stage; leave out --stages-only")
    return rows


def _read_rows(data: str) -> pl.DataFrame:
    path = Path(data)
    if path.suffix in (".parquet", ".csv"):
        return read_manifest(path)
    if data not in READERS:
        raise UsageError(
            f"'{data}' is neither a manifest (.parquet, .csv) nor a public set ({', '.join(sorted(READERS))})"
        )
    folder = os.environ.get("ERYTHRON_DATA_DIR")
    if not folder:
        raise UsageError(f"set ERYTHRON_DATA_DIR to the folder that holds {data}, or name a manifest")
    return read_set(data, Path(folder) / data).rows


def name_data(data: str) -> str:
    """Return what a folder for results on some data is called."""
    return Path(data).stem if Path(data).suffix in (".parquet", ".csv") else data
