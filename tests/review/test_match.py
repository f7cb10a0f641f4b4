"""Which cell a label is of, and whether it says something new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.cells.class_map import parse_class_map
from erythron.cells.outline import BoxedMask, CellOutline
from erythron.cells.table import count_as
from erythron.errors import DataError
from erythron.interchange.cells import LabelledCell
from erythron.review.labels import EditedRow, Labels
from erythron.review.match import ReviewedField, match_labels

CLASSES = ("proerythroblast", "granulocyte", "lymphocyte")


def outline_at(left: int, top: int) -> CellOutline:
    nucleus = np.zeros((10, 10), np.bool_)
    nucleus[3:7, 3:7] = True
    return CellOutline(left, top, np.ones((10, 10), np.bool_), nucleus, 1.0)


OUTLINES = (outline_at(0, 0), outline_at(20, 0), outline_at(40, 0))
IDS = [outline.cell_id for outline in OUTLINES]
FIELD = ReviewedField(
    pl.DataFrame(
        {
            "image": ["a.png"] * 3,
            "cell_id": IDS,
            "x_px": [4.5, 24.5, 44.5],
            "y_px": [4.5] * 3,
            "width_px": [10] * 3,
            "height_px": [10] * 3,
            "label": ["granulocyte", "lymphocyte", "granulocyte"],
            **{f"prob_{name}": [0.3] * 3 for name in CLASSES},
            "flags": ["", "unclassified", "left_out"],
        }
    ).with_columns(count_as()),
    lambda names: {outline.cell_id: outline for outline in OUTLINES if outline.cell_id in names},
)


def rows(*edited: EditedRow) -> Labels:
    return Labels(Path("edited.csv"), "a.png", rows=edited)


def labelled(
    left: int, top: int, label: str, *, nucleus: bool = True, name: str | None = None
) -> LabelledCell:
    inner = BoxedMask(left + 3, top + 3, np.ones((4, 4), np.bool_)) if nucleus else None
    return LabelledCell(label, BoxedMask(left, top, np.ones((10, 10), np.bool_)), inner, name)


def outlined(*cells: LabelledCell) -> Labels:
    return Labels(Path("drawn.json"), "a.png", cells=cells)


@pytest.mark.parametrize(
    ("row", "called"),
    [
        (EditedRow(IDS[0], "lymphocyte", "granulocyte", ""), {IDS[0]: "lymphocyte"}),
        (EditedRow(IDS[0], "granulocyte", "lymphocyte", ""), {IDS[0]: "lymphocyte"}),
        (EditedRow(IDS[0], "Pronormoblast", None, None), {IDS[0]: "proerythroblast"}),
        (EditedRow(IDS[0], "unclassified", "granulocyte", ""), {IDS[0]: "unclassified"}),
        (EditedRow(IDS[0], "not_a_cell", "granulocyte", ""), {IDS[0]: "not_a_cell"}),
        (EditedRow(IDS[0], "Not a cell", "granulocyte", ""), {IDS[0]: "not_a_cell"}),
        # An unclassified cell whose flag was taken away is of its label.
        (EditedRow(IDS[1], None, "lymphocyte", ""), {IDS[1]: "lymphocyte"}),
        (EditedRow(IDS[1], "lymphocyte", "lymphocyte", "unclassified"), {IDS[1]: "lymphocyte"}),
        (EditedRow(IDS[1], "unclassified", "lymphocyte", "unclassified"), {}),
        (EditedRow(IDS[2], "left_out", "granulocyte", "left_out"), {}),
        (EditedRow(IDS[2], "granulocyte", "granulocyte", "left_out"), {IDS[2]: "granulocyte"}),
    ],
)
def test_a_row_says_what_was_edited_in_it(row: EditedRow, called: dict[str, str]) -> None:
    found = match_labels(rows(row), FIELD, {})
    assert found.called == called
    assert set(found.agreed) == {row.cell_id} - set(called)
    assert set(found.unnamed) == set(IDS) - {row.cell_id}


def test_a_row_of_no_cell_is_left_out_and_said() -> None:
    found = match_labels(rows(EditedRow("x900y900", "lymphocyte", None, None)), FIELD, {})
    assert found.called == {}
    assert found.left_out == ("cell x900y900 is no cell of a.png",)


def test_an_outline_is_of_the_cell_that_it_names_or_of_the_one_at_its_place() -> None:
    moved = labelled(21, 1, "proerythroblast")
    named = labelled(300, 300, "lymphocyte", name=IDS[0])
    found = match_labels(outlined(moved, named), FIELD, {})
    assert found.called == {IDS[1]: "proerythroblast", IDS[0]: "lymphocyte"}
    assert found.added == ()
    assert found.unnamed == (IDS[2],)


def test_an_outline_around_several_cells_calls_none_of_them() -> None:
    """QuPath's annotation of a region has a class too."""
    region = LabelledCell("lymphocyte", BoxedMask(0, 0, np.ones((30, 40), np.bool_)), None)
    found = match_labels(outlined(region), FIELD, {})
    assert (found.called, found.agreed, found.added) == ({}, {}, ())
    assert "is drawn around 2 cells; draw around one" in found.left_out[0]


@pytest.mark.parametrize("label", [None, "", "granulocyte"])
def test_a_call_that_was_emptied_confirms_nothing(label: str | None) -> None:
    found = match_labels(rows(EditedRow(IDS[0], "", label, "")), FIELD, {})
    assert (found.called, found.agreed) == ({}, {})
    assert set(found.unnamed) == set(IDS)


def test_an_outline_that_shares_little_with_every_cell_is_one_that_was_missed() -> None:
    beside = labelled(26, 2, "lymphocyte")  # shares 32 of 100 pixels with the second cell
    found = match_labels(outlined(beside), FIELD, {})
    [added] = found.added
    assert found.called == {added.cell_id: "lymphocyte"}
    assert added.cell_id not in IDS
    bare = match_labels(outlined(labelled(80, 0, "lymphocyte", nucleus=False)), FIELD, {})
    assert bare.called == {}
    assert "its nucleus is not outlined" in bare.left_out[0]


def test_a_cell_that_is_outlined_twice_is_taken_once() -> None:
    found = match_labels(outlined(labelled(0, 0, "lymphocyte"), labelled(1, 0, "granulocyte")), FIELD, {})
    assert found.called == {IDS[0]: "lymphocyte"}
    assert "outlined twice" in found.left_out[0]


def test_names_that_are_no_class_are_listed_together_and_a_class_map_says_what_they_are() -> None:
    cells = outlined(labelled(0, 0, "Zelle"), labelled(20, 0, "monocyte"))
    with pytest.raises(DataError, match=r"drawn\.json: 'Zelle', 'monocyte' is no class of the model"):
        match_labels(cells, FIELD, {})
    found = match_labels(cells, FIELD, parse_class_map(["Zelle=lymphocyte", "monocyte="]))
    assert found.called == {IDS[0]: "lymphocyte"}


def test_a_missed_cell_that_is_outlined_twice_is_added_once() -> None:
    """Drawn anew a pixel beside itself it was added, and counted, twice."""
    twice = outlined(labelled(60, 20, "granulocyte"), labelled(61, 20, "lymphocyte"))
    proposal = match_labels(twice, FIELD, {})
    assert [cell.cell_id for cell in proposal.added] == ["x64y24"]
    assert proposal.called == {"x64y24": "granulocyte"}
    assert proposal.left_out == ("the cell at (66, 24) is outlined twice; the first label was taken",)
