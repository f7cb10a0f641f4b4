from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from erythron.datasets.manifest import (
    MANIFEST_SCHEMA,
    check_manifest,
    hash_rows,
    hash_split,
    read_manifest,
    verify_split,
    write_manifest,
)
from erythron.errors import DataError
from erythron.files.hashing import hash_file

from .conftest import make_rows


def split_rows(rows: pl.DataFrame, parts: list[str]) -> pl.DataFrame:
    rows = rows.with_columns(pl.Series("split", parts))
    return rows.with_columns(pl.lit(hash_split(rows)).alias("split_hash"))


def good_split(folder: Path) -> pl.DataFrame:
    return split_rows(make_rows(folder), ["train"] * 2 + ["validation"] * 2 + ["test"] * 2)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    rows = make_rows(tmp_path / "images").with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(0.21).alias("mpp")
    )
    write_manifest(rows, tmp_path / f"m{suffix}")
    back = read_manifest(tmp_path / f"m{suffix}")
    assert back.equals(rows)
    assert back.schema == pl.Schema(MANIFEST_SCHEMA)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_manifest_moves_with_its_images(tmp_path: Path, suffix: str) -> None:
    write_manifest(good_split(tmp_path / "one" / "images"), tmp_path / "one" / f"m{suffix}")
    (tmp_path / "one").rename(tmp_path / "two")
    rows = read_manifest(tmp_path / "two" / f"m{suffix}")
    assert [hash_file(Path(p)) for p in rows["path"]] == rows["sha256"].to_list()
    verify_split(rows)


def test_extra_columns_are_kept(tmp_path: Path) -> None:
    rows = make_rows(tmp_path).with_columns(pl.lit("Wright").alias("stain"))
    write_manifest(rows, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv")["stain"].to_list() == ["Wright"] * 6


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "dragon", "row 1: label is 'dragon' and must be one of"),
        ("class", "dragon", "class is 'dragon'"),
        ("split", "training", "split is 'training' and must be one of test, train, validation"),
        ("sha256", "abc", "64 hexadecimal"),
        ("mpp", -1.0, "mpp is -1.0 and must be a positive number"),
        ("mpp", float("nan"), "mpp is nan"),
        ("group", "", "group is '' and must not be empty"),
        ("mask_kind", "cell", "exactly where mask_path"),
        ("x_px", 3, "a box needs all of"),
    ],
)
def test_a_bad_value_is_named_with_its_row(tmp_path: Path, column: str, value: object, message: str) -> None:
    rows = make_rows(tmp_path).with_columns(pl.lit(value, MANIFEST_SCHEMA[column]).alias(column))
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        check_manifest(rows, "m.csv")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    make_rows(tmp_path).drop("sha256", "group").write_csv(tmp_path / "m.csv")
    with pytest.raises(DataError, match=r"m\.csv: the manifest lacks the columns group, sha256"):
        read_manifest(tmp_path / "m.csv")


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    rows = make_rows(tmp_path)
    with pytest.raises(DataError, match="listed twice"):
        check_manifest(pl.concat([rows, rows[:1]]), "m")


@pytest.mark.parametrize("name", ["none.parquet", "none.csv", "junk.parquet", "m.xlsx"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match=name):
        read_manifest(tmp_path / name)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    make_rows(tmp_path).with_columns(pl.lit("wide").alias("mpp")).write_csv(tmp_path / "m.csv")
    with pytest.raises(DataError, match=r"m\.csv: a column holds"):
        read_manifest(tmp_path / "m.csv")


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path) -> None:
    rows = make_rows(tmp_path)
    write_manifest(rows, tmp_path / "m.csv")
    with pytest.raises(DataError):
        write_manifest(rows.with_columns(pl.lit("x").alias("label")), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv").equals(rows)
    assert not list(tmp_path.glob(".*"))


def test_the_hash_of_rows_knows_content_and_not_place(tmp_path: Path) -> None:
    a, b = make_rows(tmp_path / "one"), make_rows(tmp_path / "two")
    assert hash_rows(a) == hash_rows(b.reverse())
    assert hash_rows(a) != hash_rows(a.with_columns(pl.lit("x").alias("group")))


def test_the_hash_of_a_split_knows_parts_and_not_place(tmp_path: Path) -> None:
    a, b = good_split(tmp_path / "one"), good_split(tmp_path / "two")
    assert hash_split(a) == hash_split(b.reverse())
    assert verify_split(a) == hash_split(a)


def test_a_row_moved_by_hand_is_noticed(tmp_path: Path) -> None:
    rows = good_split(tmp_path)
    moved = rows.with_columns(
        pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("test")).otherwise("split").alias("split")
    )
    with pytest.raises(DataError, match="not the one that was stored"):
        verify_split(moved)
    with pytest.raises(DataError, match="not the one that was stored"):
        verify_split(rows[1:])


def test_a_group_on_two_sides_is_refused(tmp_path: Path) -> None:
    """Trap 4: cells of one smear on both sides of a split."""
    rows = split_rows(make_rows(tmp_path), ["train", "test"] * 3)
    with pytest.raises(DataError, match=r"group 'slide_0' is in test and train"):
        verify_split(rows)


def test_one_content_on_two_sides_is_refused(tmp_path: Path) -> None:
    rows = make_rows(tmp_path).with_columns(pl.lit("0" * 64).alias("sha256"))
    with pytest.raises(DataError, match="image content"):
        verify_split(split_rows(rows, ["train"] * 2 + ["validation"] * 2 + ["test"] * 2))


def test_a_split_without_a_test_part_is_refused(tmp_path: Path) -> None:
    """Trap 3: the best epoch on validation was the result, and there was no test split."""
    rows = split_rows(make_rows(tmp_path), ["train"] * 4 + ["validation"] * 2)
    with pytest.raises(DataError, match="no row is in the part 'test'"):
        verify_split(rows)


def test_an_unsplit_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="6 of 6 rows have no split"):
        verify_split(make_rows(tmp_path))


@pytest.mark.real_data
def test_a_damaged_table_is_refused_in_words(data_dir: Path) -> None:
    path = data_dir / "cases" / "files" / "bad_manifest_2.parquet"
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
