from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erythron.datasets.labelled import FoundCell, make_set
from erythron.datasets.manifest import verify_split
from erythron.datasets.split import SplitPlan, assign_parts, count_labels, merge_groups, split_rows
from erythron.errors import DataError

from .conftest import make_rows, save_flat


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), min_size=30), st.integers(0, 3))
def test_no_group_is_in_two_parts(rows: list[tuple[str, int]], seed: int) -> None:
    labels, groups = [r[0] for r in rows], [str(r[1]) for r in rows]
    try:
        parts = assign_parts(labels, groups, [0.7, 0.15, 0.15], seed)
    except DataError:
        return
    for group in set(groups):
        assert len({p for p, g in zip(parts, groups, strict=True) if g == group}) == 1


def test_every_label_is_spread_as_the_shares_say() -> None:
    labels = ["rare"] * 20 + ["common"] * 400
    parts = assign_parts(labels, [str(i) for i in range(420)], [0.7, 0.15, 0.15], 0)
    assert np.bincount(parts[:20]).tolist() == [14, 3, 3]
    assert np.bincount(parts[20:]).tolist() == [280, 60, 60]


def test_the_seed_decides() -> None:
    labels, groups = ["a"] * 60, [str(i) for i in range(60)]
    first = assign_parts(labels, groups, [0.7, 0.3], 0)
    assert np.array_equal(first, assign_parts(labels, groups, [0.7, 0.3], 0))
    assert not np.array_equal(first, assign_parts(labels, groups, [0.7, 0.3], 1))


@pytest.mark.parametrize("groups", [["x", "x", "y", "y"], ["x"] * 4])
def test_too_few_groups_are_refused(groups: list[str]) -> None:
    with pytest.raises(DataError, match="cannot fill 3 parts"):
        assign_parts(["a"] * 4, groups, [0.7, 0.15, 0.15], 0)


def test_groups_that_share_content_or_smear_become_one(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 8)
    first_and_last = pl.DataFrame({"first": [rows["path"][0]], "second": [rows["path"][7]]})
    same = rows.with_columns(
        pl.when(pl.int_range(pl.len()).is_in([2, 5]))
        .then(pl.lit("0" * 64))
        .otherwise("sha256")
        .alias("sha256")
    )
    assert (
        merge_groups(same, first_and_last)["group"].to_list()
        == ["slide_0"] * 2 + ["slide_1"] * 4 + ["slide_0"] * 2
    )


def test_a_split_is_stored_with_a_hash_that_verifies(tmp_path: Path) -> None:
    """Traps 3 and 4: there is a test part, and no group is on two sides."""
    rows = make_rows(tmp_path, 40)
    result = split_rows(rows, SplitPlan(0.2, 0.2, 1))
    assert verify_split(result.rows) == result.hash
    assert result.rows.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    counts = count_labels(result.rows)
    assert counts.select("train", "validation", "test").sum().row(0) == (24, 8, 8)
    assert split_rows(rows.reverse(), SplitPlan(0.2, 0.2, 1)).hash == result.hash


def test_similar_images_go_to_one_side(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 40)
    for seed in range(5):
        plain = split_rows(rows, SplitPlan(0.3, 0.3, seed)).rows
        other = plain.filter(pl.col("split") != plain["split"][0])["path"][0]
        similar = pl.DataFrame({"first": [rows["path"][0]], "second": [other]})
        result = split_rows(rows, SplitPlan(0.3, 0.3, seed), similar)
        both = result.rows.filter(pl.col("path").is_in([rows["path"][0], other]))
        assert both["split"].n_unique() == 1
        assert result.merged == 1


def test_a_label_that_a_part_lacks_is_said(tmp_path: Path) -> None:
    found = [FoundCell(save_flat(tmp_path / f"{i}.png", i), "monocyte", str(i)) for i in range(20)]
    found.append(FoundCell(save_flat(tmp_path / "x.png", 99), "plasma", "x"))
    notes = split_rows(make_set("s", found).rows, SplitPlan()).notes
    assert any("plasma_cell is in test" in note for note in notes)


def test_no_validation_part_where_none_is_wanted(tmp_path: Path) -> None:
    result = split_rows(make_rows(tmp_path, 20), SplitPlan(validation=0, test=0.3))
    assert set(result.rows["split"]) == {"train", "test"}


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.1, 0.0), (-0.1, 0.2)])
def test_shares_that_leave_nothing_are_refused(validation: float, test: float) -> None:
    with pytest.raises(DataError, match="needs a share"):
        SplitPlan(validation, test)
