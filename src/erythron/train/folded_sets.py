"""The sets of single cells with the folds of every cross-validation of the default model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.datasets.audit import find_similar_rows
from erythron.datasets.folds import assign_folds
from erythron.datasets.labelled import LabelledSet
from erythron.datasets.sets import read_set
from erythron.datasets.split import merge_groups

MARROW_SET = "pathology-bites-cells"
BLOOD_SET = "pbc-acevedo"


def read_marrow(data: Path, folds: int, seed: int) -> tuple[LabelledSet, NDArray[np.int64]]:
    """Read the set with one group for all crops that show a common piece of smear, and its folds.

    The set lists some overlaps; the others are found from the pixels, as ``data split`` finds them.

    Args:
        data: folder that holds the public sets.
        folds: number of folds.
        seed: orders groups of equal make-up.

    Returns:
        The set, N rows, and (N,) int64 in 0..folds-1.

    Raises:
        DataError: the set is missing, or has fewer groups than folds.
    """
    found = read_set(MARROW_SET, data / MARROW_SET)
    rows = merge_groups(found.rows, find_similar_rows(found.rows))
    return replace(found, rows=rows), _fold(rows, folds, seed)


def read_blood(data: Path, folds: int, seed: int) -> tuple[LabelledSet, NDArray[np.int64]]:
    """Read the cells of peripheral blood, one group for all copies of a picture.

    Takes, returns and raises what :func:`read_marrow` does.
    """
    found = read_set(BLOOD_SET, data / BLOOD_SET)
    return found, _fold(found.rows, folds, seed)


def _fold(rows: pl.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    return assign_folds(rows["source_label"].to_list(), rows["group"].to_list(), folds, seed)
