"""Folds of the marrow crops: pieces of smear that two crops share are on one side."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from erythron.datasets.audit import find_similar_rows
from erythron.datasets.sets import read_set
from erythron.train.folded_sets import MARROW_SET, read_marrow

FOLDS = 5


@pytest.mark.real_data
def test_crops_of_one_piece_of_smear_share_a_fold(data_dir: Path) -> None:
    marrow, fold_of = read_marrow(data_dir, FOLDS, 0)
    listed = read_set(MARROW_SET, data_dir / MARROW_SET).rows
    assert marrow.rows["path"].equals(listed["path"])
    assert marrow.rows["group"].n_unique() < listed["group"].n_unique()
    folds = marrow.rows.select("path", "group", fold=pl.Series(fold_of))
    assert folds.group_by("group").agg(pl.col("fold").n_unique())["fold"].max() == 1
    by_path = dict(folds.select("path", "fold").iter_rows())
    pairs = find_similar_rows(listed)
    assert pairs.height > 100
    assert all(by_path[a] == by_path[b] for a, b in pairs.iter_rows())
    assert sorted(set(fold_of.tolist())) == list(range(FOLDS))
