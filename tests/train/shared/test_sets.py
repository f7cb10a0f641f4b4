from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from erythron.datasets.manifest import write_manifest
from erythron.errors import DataError, UsageError
from erythron.train.recipe import SetEntry
from erythron.train.shared.sets import (
    describe_data,
    describe_source,
    join_split,
    load_rows,
    map_sources,
    open_sets,
)


@pytest.fixture
def manifest(drawn_rows: pl.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "cells.parquet"
    write_manifest(drawn_rows, path)
    return path


def make_folder(drawn_rows: pl.DataFrame, folder: Path, label: str = "EBO") -> Path:
    (folder / label).mkdir(parents=True)
    for path in drawn_rows["path"].head(3):
        shutil.copy(path, folder / label)
    return folder


def test_a_manifest_and_a_folder_of_one_s_own_are_read_with_what_the_recipe_says(
    manifest: Path, drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    rows = drawn_rows.tail(10).with_columns(split=pl.lit(None, pl.String), split_hash=pl.lit(None, pl.String))
    write_manifest(rows, tmp_path / "few.csv")
    folder = make_folder(drawn_rows, tmp_path / "mine", "strange")
    entries = [
        SetEntry(data=str(tmp_path / "few.csv")),
        SetEntry(data=str(folder), class_map={"strange": "EBO"}),
    ]
    few, mine = open_sets(entries)
    assert (few.name, few.rows.height, mine.name) == ("few", 10, "mine")
    assert set(mine.rows["label"]) == {"erythroblast"}


def test_an_image_in_two_sets_is_used_once(manifest: Path, drawn_rows: pl.DataFrame, tmp_path: Path) -> None:
    """Else a cell could be judged by a head that learned from its copy."""
    folder = make_folder(drawn_rows, tmp_path / "mine")
    shutil.copy(drawn_rows["mask_path"][0], folder / "EBO" / "another.png")
    whole, mine = open_sets([SetEntry(data=str(manifest)), SetEntry(data=str(folder))])
    assert whole.rows.height == 48
    assert [Path(p).name for p in mine.rows["path"]] == ["another.png"]
    assert mine.left_out["reason"].to_list() == ["the same image is in an earlier set"] * 3


def test_sets_that_cannot_be_told_apart_or_are_none_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no sets"):
        open_sets([])
    with pytest.raises(UsageError, match="another set of the recipe is called 'cells'"):
        open_sets([SetEntry(data=str(manifest)), SetEntry(data=str(manifest))])
    with pytest.raises(UsageError, match="no manifest"):
        open_sets([SetEntry(data="moon")])


def test_a_folder_of_sets_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "pbc-acevedo" / "ig").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"is a folder of sets \(pbc-acevedo\); set ERYTHRON_DATA_DIR"):
        load_rows(str(tmp_path))


def test_sets_with_their_splits_are_joined_to_one(
    manifest: Path, drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    folder = make_folder(drawn_rows, tmp_path / "mine")
    shutil.copy(drawn_rows["mask_path"][0], folder / "EBO" / "another.png")
    with pytest.raises(DataError, match="no split"):
        join_split(open_sets([SetEntry(data=str(manifest)), SetEntry(data=str(folder))]))
    rows = join_split(open_sets([SetEntry(data=str(manifest))]))
    assert rows["split_hash"].unique().to_list() == drawn_rows["split_hash"].unique().to_list()


def test_data_is_described_as_registered_or_as_the_recipe_says(drawn_rows: pl.DataFrame) -> None:
    assert describe_source("pbc-acevedo").licence == "CC BY 4.0"
    entry = SetEntry(data="somewhere/else", licence="CC0", source="our laboratory")
    (used,) = describe_data(drawn_rows, map_sources([entry], drawn_rows))
    assert (used.name, used.cells, used.licence, used.source) == ("drawn", 48, "CC0", "our laboratory")
    (bare,) = describe_data(drawn_rows, {})
    assert (bare.licence, bare.source) == ("not stated", "a set of one's own")


def test_stages_alone(drawn_rows: pl.DataFrame, tmp_path: Path) -> None:
    rows = drawn_rows.with_columns(
        label=pl.lit("monocyte"), split=pl.lit(None, pl.String), split_hash=pl.lit(None, pl.String)
    )
    write_manifest(rows, tmp_path / "blood.csv")
    with pytest.raises(UsageError, match="no cell of an erythroid stage"):
        load_rows(str(tmp_path / "blood.csv"), stages_only=True)
