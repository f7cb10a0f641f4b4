"""Folds keep pieces of smear that two images share on one side, in every set of a cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.datasets.audit import find_similar_rows
from erythron.datasets.sets import read_set
from erythron.errors import DataError, UsageError
from erythron.train.folded_sets import MARROW_SET, FoldedSet, name_set, read_folded, read_folded_sets


def most_folds(folded: FoldedSet) -> int:
    """Return the largest number of folds that one group lies in."""
    table = folded.rows.select("group", fold=pl.Series(folded.fold))
    return int(table.group_by("group").agg(pl.col("fold").n_unique())["fold"].max())


@pytest.mark.real_data
def test_crops_of_one_piece_of_smear_share_a_fold(data_dir: Path) -> None:
    marrow = read_folded(MARROW_SET, 5, 0, data_dir)
    listed = read_set(MARROW_SET, data_dir / MARROW_SET).rows
    assert marrow.rows["path"].equals(listed["path"])
    assert marrow.rows["group"].n_unique() < listed["group"].n_unique()
    assert most_folds(marrow) == 1
    by_path = dict(zip(marrow.rows["path"], marrow.fold.tolist(), strict=True))
    pairs = find_similar_rows(listed)
    assert pairs.height > 100
    assert all(by_path[a] == by_path[b] for a, b in pairs.iter_rows())
    assert sorted(set(marrow.fold.tolist())) == list(range(5))


@pytest.mark.real_data
@pytest.mark.parametrize("folds", [3, 8])
def test_no_series_of_bcisc_straddles_folds(data_dir: Path, folds: int) -> None:
    folded = read_folded("bcisc", folds, 0, data_dir)
    series = {Path(p).stem.split("_")[1].split("-")[0] for p in folded.rows["path"]}
    assert folded.rows["group"].n_unique() == len(series) == 10
    assert most_folds(folded) == 1
    assert len(set(folded.fold.tolist())) == folds


@pytest.mark.real_data
@pytest.mark.parametrize("folds", [5])  # Likeness is measured over the whole set anew for each number.
def test_no_overlapping_fields_of_bccd_straddle_folds(data_dir: Path, folds: int) -> None:
    folded = read_folded("bccd", folds, 0, data_dir)
    fold_of = dict(zip(folded.rows["path"], folded.fold.tolist(), strict=True))
    pairs = find_similar_rows(folded.rows)
    assert pairs.height == 30
    assert all(fold_of[a] == fold_of[b] for a, b in pairs.iter_rows())
    assert most_folds(folded) == 1


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_overlapping_images_of_any_set_share_a_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smear = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    save(tmp_path / "monocyte" / "a.png", smear[:160, :160])
    save(tmp_path / "monocyte" / "b.png", smear[40:200, 40:200])
    for k in range(3):
        other = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        save(tmp_path / "lymphocyte" / f"{k}.png", other)
    folded = read_folded(str(tmp_path), 3, 0)
    group = {Path(p).stem: g for p, g in folded.rows.select("path", "group").iter_rows()}
    assert group["a"] == group["b"]
    assert len(set(group.values())) == 4
    assert most_folds(folded) == 1
    assert folded.folder == tmp_path


def save_flat_set(folder: Path, levels: range) -> str:
    for level in levels:
        save(folder / "monocyte" / f"{level}.png", np.full((8, 8, 3), level, np.uint8))
    return str(folder)


def test_an_image_that_two_sets_hold_is_in_the_first_alone(tmp_path: Path) -> None:
    sources = [save_flat_set(tmp_path / "a", range(6)), save_flat_set(tmp_path / "b", range(4, 9))]
    first, second = read_folded_sets(sources, 2, 0)
    assert first.rows.height == len(first.fold) == 6
    assert [Path(p).stem for p in second.rows["path"]] == ["6", "7", "8"]
    alone = read_folded(sources[1], 2, 0)
    assert second.fold.tolist() == alone.fold[2:].tolist()
    with pytest.raises(UsageError, match="every image of it is in an earlier set"):
        read_folded_sets([sources[0], sources[0]], 2, 0)


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bccd"):
        read_folded("bccd", 2, 0, tmp_path)
    with pytest.raises(UsageError, match="nowhere"):
        read_folded("nowhere", 2, 0, tmp_path)


def test_a_set_is_called_by_what_its_user_has_named() -> None:
    assert name_set("bccd") == "bccd"
    assert name_set("runs/own") == "own"
    assert name_set("runs/split.parquet") == "split"
    assert name_set("runs/own/manifest.csv") == "own"
