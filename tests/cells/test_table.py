"""The table of cells: its columns in the order that scripts rely on, and what each cell is counted as."""

from __future__ import annotations

import io

import polars as pl
import pytest

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cells.table import (
    MEASUREMENT_COLUMNS,
    PLACE_COLUMNS,
    count_as,
    count_as_confirmed,
    find_near,
    is_classified,
    is_counted,
    list_cell_columns,
    list_probability_classes,
    make_empty_table,
    name_groups,
    type_columns,
)
from erythron.errors import DataError

NAMES = [c.name for c in DEFAULT_CLASSES]


def test_columns_come_in_the_order_of_the_command_line() -> None:
    columns = list(list_cell_columns(DEFAULT_CLASSES))
    first = ["image", "cell_id", "x_px", "y_px", "width_px", "height_px", "label", "confidence"]
    probabilities = [f"prob_{name}" for name in NAMES]
    assert columns[: len(first) + len(NAMES)] == first + probabilities
    assert columns[-3:] == ["confirmed_as", "counted_as", "flags"]
    between = columns[len(first) + len(NAMES) : -3]
    assert between.pop() == "novelty"
    assert between == list(MEASUREMENT_COLUMNS)
    assert between[:3] == ["cell_area_px", "nucleus_area_px", "cytoplasm_area_px"]
    assert between[-2:] == ["touches_edge", "outline_score"]
    assert len(set(columns)) == len(columns)


def test_classes_may_be_given_by_name_and_keep_their_order() -> None:
    assert list_cell_columns(NAMES) == list_cell_columns(DEFAULT_CLASSES)
    backwards = list_cell_columns(NAMES[::-1])
    assert list_probability_classes(backwards) == tuple(NAMES[::-1])
    assert list_probability_classes(["image", "probable", "label"]) == ()


def test_every_measure_has_its_unit_in_its_name_or_is_without_one() -> None:
    without = {
        "nc_ratio", "nucleus_fraction", "nucleus_lobes", "touches_edge", "outline_score", "nucleus_sd_grey",
    }  # fmt: skip
    parts = ("eccentricity", "solidity", "circularity", "_red", "_green", "_blue")
    for name in MEASUREMENT_COLUMNS:
        assert name in without or name.endswith((*parts, "_px", "_um", "_um2"))
    assert PLACE_COLUMNS["cell_id"] == pl.String()


def test_an_empty_table_has_all_columns_and_comes_back_from_text_typed() -> None:
    table = make_empty_table(DEFAULT_CLASSES)
    assert table.height == 0
    assert table.schema == pl.Schema(list_cell_columns(DEFAULT_CLASSES))
    text = table.write_csv()
    types = type_columns(text.split("\n", maxsplit=1)[0].split(","))
    assert pl.read_csv(io.StringIO(text), schema=types).schema == table.schema


def test_types_are_those_of_the_classes_that_the_columns_name() -> None:
    two = list_cell_columns(["granulocyte", "my_own"])
    assert type_columns(list(two)) == two


@pytest.mark.parametrize("change", ["missing", "more", "other order", "flags alone", "none"])
def test_another_table_is_refused_by_the_name_of_the_column(change: str) -> None:
    columns = list(list_cell_columns(DEFAULT_CLASSES))
    columns, named = {
        "missing": ([c for c in columns if c != "counted_as"], "counted_as"),
        "more": ([*columns, "mood"], "mood"),
        "other order": ([columns[1], columns[0], *columns[2:]], "image|cell_id"),
        "flags alone": (["flags"], "cell_area_px"),
        "none": ([], "cell_area_px"),
    }[change]
    with pytest.raises(DataError, match=rf"not those of a table of cells \(.*({named}).*\); count again"):
        type_columns(columns)


def test_what_a_person_says_goes_before_the_model() -> None:
    cells = pl.DataFrame(
        {
            "label": ["granulocyte"] * 5,
            "flags": ["", "unclassified", "left_out", "", "unclassified"],
            "confirmed_as": [None, "lymphocyte", "monocyte", "not_a_cell", ""],
        }
    ).with_columns(count_as_confirmed())
    assert cells["counted_as"].to_list() == [
        "granulocyte",
        "lymphocyte",
        "monocyte",
        "not_a_cell",
        "unclassified",
    ]
    assert cells.select(is_counted()).to_series().to_list() == [True, True, True, False, True]
    assert cells.select(is_classified()).to_series().to_list() == [True, True, True, False, False]
    assert name_groups(cells) == cells["counted_as"].to_list()


def test_a_column_that_stands_twice_is_refused() -> None:
    columns = list(list_cell_columns(NAMES))
    with pytest.raises(DataError, match="count again"):
        type_columns([*columns, columns[-1]])


def test_cells_are_counted_as_their_label_unless_left_out_or_unclassified() -> None:
    cells = pl.DataFrame(
        {
            "label": ["granulocyte"] * 6,
            "flags": ["", None, "touches_edge", "unclassified", "unclassified left_out", "left_out"],
        }
    )
    assert cells.select(count_as()).to_series().to_list() == [
        "granulocyte", "granulocyte", "granulocyte", "unclassified", "left_out", "left_out",
    ]  # fmt: skip
    assert cells.select(count_as()).columns == ["counted_as"]


def test_cells_near_a_box_are_those_that_may_reach_into_it() -> None:
    cells = pl.DataFrame(
        {
            "cell_id": ["inside", "reaches", "beside", "above"],
            "x_px": [50.0, 95.0, 130.0, 50.0],
            "y_px": [50.0, 50.0, 50.0, 0.0],
            "width_px": [10, 40, 20, 10],
            "height_px": [10, 40, 20, 10],
        }
    )
    assert find_near(cells, 40, 40, 60, 60) == ["inside", "reaches"]
    assert find_near(cells, 0, 0, 1000, 1000) == cells["cell_id"].to_list()
    assert find_near(cells.head(0), 0, 0, 1, 1) == []
