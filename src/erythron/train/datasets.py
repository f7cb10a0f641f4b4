"""Data of a training command: a manifest file, or a public set by its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from erythron.cells.classes import ERYTHROID_STAGES
from erythron.datasets.sets import open_set
from erythron.errors import UsageError


def load_rows(data: str, stages_only: bool = False) -> pl.DataFrame:
    """Return the manifest that a command line names.

    Args:
        data: path of a ``.parquet`` or ``.csv`` manifest, name of a public set, or path of a folder of class
            folders.
        stages_only: only cells of the four erythroid stages.

    Raises:
        UsageError: it is neither, or no cell is left.
        DataError: the manifest or the set cannot be read.
    """
    rows = open_set(data).rows
    if stages_only:
        rows = rows.filter(pl.col("label").is_in([s.name for s in ERYTHROID_STAGES]))
        if rows.is_empty():
            raise UsageError(f"{data}: has no cell of an erythroid stage; leave out --stages-only")
    return rows


def name_data(data: str) -> str:
    """Return what a folder for results on some data is called."""
    return Path(data).stem if Path(data).suffix in (".parquet", ".csv") else data
