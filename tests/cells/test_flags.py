"""Flags of a cell: joined and split in one place, whatever wrote them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erythron.cells.flags import (
    CellFlag,
    add_flag,
    drop_flag,
    has_flag,
    join_flags,
    make_flag_column,
    split_flags,
)


def tell(texts: list[str | None], flag: CellFlag) -> list[bool]:
    table = pl.DataFrame({"flags": pl.Series(texts, dtype=pl.String)})
    return table.select(has_flag(flag)).to_series().to_list()


@given(st.lists(st.sampled_from(CellFlag)))
def test_joined_flags_split_into_the_same_in_one_order(flags: list[CellFlag]) -> None:
    text = join_flags(flags)
    assert split_flags(text) == {flag.value for flag in flags}
    assert text == join_flags(reversed(flags))
    assert text == " ".join(flag.value for flag in CellFlag if flag in flags)


@given(st.lists(st.sets(st.sampled_from(CellFlag)), max_size=6))
def test_the_column_says_what_splitting_says(rows: list[set[CellFlag]]) -> None:
    texts = [join_flags(row) for row in rows]
    for flag in CellFlag:
        assert tell(list(texts), flag) == [flag in row for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "unclassified touches_edge",
        "unclassified;touches_edge",
        "touches_edge, unclassified",
        "  unclassified  touches_edge ",
        "unclassified\ttouches_edge;",
        ";unclassified;;touches_edge",
    ],
)
def test_every_separator_is_read_by_the_text_and_by_the_table(text: str) -> None:
    assert split_flags(text) == {"unclassified", "touches_edge"}
    assert [flag for flag in CellFlag if tell([text], flag)[0]] == ["unclassified", "touches_edge"]


@pytest.mark.parametrize("text", [None, "", " ", ";"])
def test_nothing_is_no_flag(text: str | None) -> None:
    assert split_flags(text) == frozenset()
    assert not any(tell([text], flag)[0] for flag in CellFlag)


def test_a_name_that_holds_another_is_not_the_other() -> None:
    assert tell(["left_out_by_hand", "not_unclassified", "LEFT_OUT"], CellFlag.LEFT_OUT) == [False] * 3
    assert tell(["not_unclassified"], CellFlag.UNCLASSIFIED) == [False]


def test_a_column_of_nulls_of_no_type_has_no_flag() -> None:
    table = pl.DataFrame({"flags": [None, None]})
    assert table.select(has_flag(CellFlag.LEFT_OUT)).to_series().to_list() == [False, False]


def test_flags_of_another_column_are_told_by_its_name() -> None:
    table = pl.DataFrame({"flags": [""], "was": ["left_out"]})
    assert table.select(has_flag(CellFlag.LEFT_OUT, "was")).item() is True


def test_the_column_is_made_of_a_list_for_each_flag() -> None:
    made = make_flag_column(
        {CellFlag.TOUCHES_EDGE: [True, False, True], CellFlag.UNCLASSIFIED: [True, False, False]}
    )
    assert (made.name, made.dtype) == ("flags", pl.String)
    assert made.to_list() == ["unclassified touches_edge", "", "touches_edge"]
    with pytest.raises(ValueError, match="zip"):
        make_flag_column({CellFlag.TOUCHES_EDGE: [True], CellFlag.UNCLASSIFIED: [True, False]})


def test_a_flag_is_added_where_it_is_wanted_and_once() -> None:
    cells = pl.DataFrame({"n": [1, 2, 3, 4], "flags": ["touches_edge", None, "left_out", "unclassified"]})
    added = add_flag(cells, CellFlag.LEFT_OUT, [True, True, True, False])
    assert added["flags"].to_list() == ["touches_edge left_out", "left_out", "left_out", "unclassified"]
    assert added.drop("flags").equals(cells.drop("flags"))
    assert add_flag(added, CellFlag.LEFT_OUT, [True] * 3 + [False]).equals(added)


def test_flags_of_another_version_stay_when_one_is_added() -> None:
    cells = pl.DataFrame({"flags": ["zeta;touches_edge, doublet", "doublet"]})
    added = add_flag(cells, CellFlag.UNCLASSIFIED, [True, False])
    assert added["flags"].to_list() == ["unclassified touches_edge doublet zeta", "doublet"]
    assert added.select(has_flag(CellFlag.UNCLASSIFIED)).to_series().to_list() == [True, False]


def test_a_row_for_each_cell_is_asked() -> None:
    with pytest.raises(ValueError, match="zip"):
        add_flag(pl.DataFrame({"flags": ["", ""]}), CellFlag.LEFT_OUT, [True])


def test_no_cells_get_no_flags() -> None:
    cells = pl.DataFrame(schema={"flags": pl.String})
    assert add_flag(cells, CellFlag.LEFT_OUT, []).equals(cells)


def test_a_flag_that_is_taken_away_leaves_the_others() -> None:
    table = pl.DataFrame({"flags": ["touches_edge outside_region of_another_version", "", None]})
    plain = drop_flag(table, CellFlag.OUTSIDE_REGION)
    assert plain["flags"].to_list() == ["touches_edge of_another_version", "", ""]
