"""A column that was sorted alone, told from calls that a person changed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from erythron.errors import DataError
from erythron.review.labels import EditedRow, Labels
from erythron.review.moved import refuse_moved, refuse_other_count

CALLS = ("granulocyte",) * 20 + ("lymphocyte",) * 10 + ("other",) * 10


def cells(image: str, calls: tuple[str, ...]) -> pl.DataFrame:
    names = [f"{image}{number}" for number in range(len(calls))]
    return pl.DataFrame({"cell_id": names, "counted_as": calls, "label": calls})


def table(image: str, counted_as: tuple[str, ...], label: tuple[str | None, ...]) -> Labels:
    rows = (
        EditedRow(f"{image}{number}", call, name, "")
        for number, (call, name) in enumerate(zip(counted_as, label, strict=True))
    )
    return Labels(Path("edited.csv"), image, tuple(rows))


def roll(calls: tuple[str, ...], rows: int) -> tuple[str, ...]:
    return calls[rows:] + calls[:rows]


@pytest.mark.parametrize("column", ["counted_as", "label"])
def test_a_column_that_was_sorted_or_slid_is_refused_by_its_name(column: str) -> None:
    moved = CALLS[::-1]
    edited = table("a", moved, CALLS) if column == "counted_as" else table("a", CALLS, moved)
    with pytest.raises(DataError, match=rf"edited.csv: {column} differs from the count in 40 of 40 cells"):
        refuse_moved([(edited, cells("a", CALLS))])


def test_a_few_calls_may_be_changed_in_a_moved_column() -> None:
    moved = (*CALLS[::-1][:-2], "other", "other")
    with pytest.raises(DataError, match="sorted alone or slid"):
        refuse_moved([(table("a", moved, CALLS), cells("a", CALLS))])


def test_a_column_that_was_sorted_over_several_images_is_refused_too() -> None:
    first, second = ("granulocyte",) * 15 + ("other",) * 15, ("other",) * 15 + ("lymphocyte",) * 15
    over_both = (*sorted(first + second),)
    files = [
        (table("a", over_both[:30], first), cells("a", first)),
        (table("b", over_both[30:], second), cells("b", second)),
    ]
    with pytest.raises(DataError, match="of 60 cells"):
        refuse_moved(files)


def test_calls_that_a_person_changed_are_taken() -> None:
    towards_one = ("lymphocyte",) * 20 + CALLS[20:]
    refuse_moved([(table("a", towards_one, CALLS), cells("a", CALLS))])
    few = ("lymphocyte", *CALLS[1:20], "granulocyte", *CALLS[21:])
    refuse_moved([(table("a", few, CALLS), cells("a", CALLS))])
    refuse_moved([(table("a", CALLS, CALLS), cells("a", CALLS))])


def test_a_table_of_names_and_calls_alone_is_a_persons() -> None:
    refuse_moved([(table("a", roll(CALLS, 5), (None,) * 40), cells("a", CALLS))])
    refuse_moved([(table("a", CALLS[::-1], (None,) * 40), cells("a", CALLS))])


def test_cells_of_another_count_are_passed_over() -> None:
    refuse_moved([(table("b", CALLS[::-1], CALLS), cells("a", CALLS))])


def stated(confidences: list[str], *, has_both: bool = True) -> Labels:
    rows = (
        EditedRow(f"a{number}", "other", "other" if has_both else None, None, text)
        for number, text in enumerate(confidences)
    )
    return Labels(Path("edited.csv"), "a", tuple(rows))


def test_a_table_of_another_count_is_told_by_its_confidences() -> None:
    """Each call that only the model had changed since was taken for the person's."""
    counted = cells("a", ("other",) * 4).with_columns(confidence=pl.Series([0.9018, 0.4594, 0.6360, 0.7]))
    of_this = ["0.9018", "0,46", "0.6", "1"]  # as it is, rounded with a comma, rounded, set by a person
    refuse_other_count([(stated(of_this), counted)])
    refuse_other_count([(stated(["0.91", *of_this[1:], "0.3"]), counted)])  # one of three, and one of no cell
    refuse_other_count([(stated(["9018", "459,4", "", "Sep 00"]), counted)])  # what a spreadsheet made of it
    with pytest.raises(DataError, match="the confidence of 2 of 3 cells is not that of the count"):
        refuse_other_count([(stated(["0.81", "0.52", *of_this[2:]]), counted)])
    refuse_other_count([(stated(["0.81", "0.52", *of_this[2:]], has_both=False), counted)])
