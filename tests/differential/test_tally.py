"""Counting a table of cells: labels, flags, and what the unclassified cells may be."""

from __future__ import annotations

import polars as pl
import pytest

from erythron.cells.classes import DEFAULT_CLASSES, GRANULOCYTE, LYMPHOCYTE, PLATELET
from erythron.differential.counts import CellCounts
from erythron.differential.tally import count_cells, spread_unclassified
from erythron.errors import DataError

CLASSES = (GRANULOCYTE, LYMPHOCYTE, PLATELET)


def make_cells(rows: list[tuple[str, str | None, float | None, float | None, float | None]]) -> pl.DataFrame:
    columns = ["label", "flags", "prob_granulocyte", "prob_lymphocyte", "prob_platelet"]
    return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)


def test_unknown_label_is_named() -> None:
    cells = pl.DataFrame({"label": ["megakaryocyte"], "flags": [""]})
    with pytest.raises(DataError, match="megakaryocyte"):
        count_cells(cells, DEFAULT_CLASSES)


def test_null_flags_are_no_flags() -> None:
    cells = pl.DataFrame({"label": ["granulocyte"], "flags": [None]})
    assert count_cells(cells, DEFAULT_CLASSES).unclassified == 0


def test_unclassified_cells_are_dealt_by_their_probabilities_among_the_nucleated() -> None:
    cells = make_cells(
        [
            ("granulocyte", "", 0.9, 0.1, 0.0),
            ("granulocyte", "unclassified", 0.4, 0.35, 0.25),
            ("platelet", "unclassified touches_edge", 0.1, 0.3, 0.6),
            ("lymphocyte", "unclassified left_out", 0.4, 0.6, 0.0),
        ]
    )
    counts = count_cells(cells, CLASSES)
    assert (counts.counts, counts.unclassified) == ((1, 0, 0), 2)
    assert counts.unclassified_as == pytest.approx((0.4 / 0.75 + 0.25, 0.35 / 0.75 + 0.75, 0.0), abs=1e-6)


def test_confirmed_cells_are_those_that_are_counted_as_a_person_called_them() -> None:
    cells = pl.DataFrame(
        [
            ("granulocyte", "", "granulocyte"),
            ("granulocyte", "outside_region", "granulocyte"),
            ("lymphocyte", "", None),
        ],
        schema=["label", "flags", "confirmed_as"],
        orient="row",
    )
    counts = count_cells(cells, CLASSES)
    assert (counts.counts, counts.confirmed) == ((1, 1, 0), (1, 0, 0))


@pytest.mark.parametrize("probability", [None, 0.0])
def test_an_unclassified_cell_without_probabilities_is_spread_evenly(probability: float | None) -> None:
    cells = make_cells([("granulocyte", "unclassified", probability, probability, probability)])
    assert count_cells(cells, CLASSES).unclassified_as == (0.5, 0.5, 0.0)
    without = cells.select("label", "flags")
    assert count_cells(without, CLASSES).unclassified_as == (0.5, 0.5, 0.0)


def test_counts_without_probabilities_are_spread_evenly() -> None:
    fields = [
        CellCounts(CLASSES, (1, 1, 0), 4),
        CellCounts(CLASSES, (1, 1, 0), 3, unclassified_as=(1.0, 2.0, 0.0)),
    ]
    assert spread_unclassified(fields, CLASSES).tolist() == [[2.0, 2.0, 0.0], [1.0, 2.0, 0.0]]
