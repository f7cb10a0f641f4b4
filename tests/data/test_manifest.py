from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.data.manifest import (
    MANIFEST_SCHEMA,
    hash_rows,
    read_matek_samples,
    read_pathology_bites,
    read_pbc_acevedo,
)
from erythron.errors import DataError


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)


def make_bites(folder: Path) -> Path:
    for i, name in enumerate(["polychromatic_001", "polychromatic_002", "band_001"]):
        save(folder / "cells" / f"{name}.png", i)
    (folder / "overlap_groups.json").write_text(json.dumps([["polychromatic_001.png", "band_001.png"]]))
    return folder


def test_overlapping_crops_share_a_group_and_others_stand_alone(tmp_path: Path) -> None:
    rows = read_pathology_bites(make_bites(tmp_path)).rows
    assert rows.schema == pl.Schema(MANIFEST_SCHEMA)
    group = dict(zip(rows["source_label"], rows["group"], strict=True))
    names = {Path(p).stem: g for p, g in rows.select("path", "group").iter_rows()}
    assert names["polychromatic_001"] == names["band_001"] != names["polychromatic_002"]
    assert set(group) == {"polychromatic", "band"}
    assert rows.filter(pl.col("source_label") == "band")["class"].item() == "granulocyte"


def test_a_missing_list_of_overlaps_is_refused(tmp_path: Path) -> None:
    (make_bites(tmp_path) / "overlap_groups.json").unlink()
    with pytest.raises(DataError, match=r"overlap_groups\.json"):
        read_pathology_bites(tmp_path)


def test_duplicates_share_a_group_and_contradicting_ones_are_left_out(tmp_path: Path) -> None:
    save(tmp_path / "monocyte" / "a.jpg", 10)
    save(tmp_path / "monocyte" / "b.jpg", 10)
    save(tmp_path / "lymphocyte" / "c.jpg", 90)
    save(tmp_path / "erythroblast" / "d.jpg", 90)
    save(tmp_path / "erythroblast" / "e.jpg", 200)
    read = read_pbc_acevedo(tmp_path)
    groups = {Path(p).name: g for p, g in read.rows.select("path", "group").iter_rows()}
    assert set(groups) == {"a.jpg", "b.jpg", "e.jpg"}
    assert groups["a.jpg"] == groups["b.jpg"] != groups["e.jpg"]
    assert sorted(Path(p).name for p in read.left_out["path"]) == ["c.jpg", "d.jpg"]
    erythroblast = read.rows.filter(pl.col("source_label") == "erythroblast")
    assert erythroblast["staged"].item() is False
    assert erythroblast["class"].item() is None


def test_an_unknown_class_folder_is_named(tmp_path: Path) -> None:
    save(tmp_path / "dragon" / "a.jpg", 1)
    with pytest.raises(DataError, match="dragon"):
        read_pbc_acevedo(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.jpg"):
        read_matek_samples(tmp_path)


def test_the_hash_of_rows_knows_content_and_not_place(tmp_path: Path) -> None:
    a = read_pathology_bites(make_bites(tmp_path / "one" / "set")).rows
    b = read_pathology_bites(make_bites(tmp_path / "two" / "set")).rows
    assert hash_rows(a) == hash_rows(b.reverse())
    assert hash_rows(a) != hash_rows(a.with_columns(pl.lit("x").alias("group")))


@pytest.mark.real_data
def test_the_real_sets_read_whole(data_dir: Path) -> None:
    bites = read_pathology_bites(data_dir / "pathology-bites-cells").rows
    assert bites.group_by("class").len().filter(pl.col("class") == "proerythroblast")["len"].item() > 0
    assert bites["group"].n_unique() < bites.height
    matek = read_matek_samples(data_dir / "matek-samples").rows
    assert (~matek["staged"]).sum() == sum(Path(p).name.startswith("EBO") for p in matek["path"])
