"""Sentences that depend on what was counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from erythron.differential.counts import CellsNeeded, Estimate, Index, ReferenceRange
from erythron.differential.intervals import Interval
from erythron.quality.flags import QualityFlag
from erythron.read.image import ScaleSource
from erythron.report.model import OutlineEdits, ReviewReport
from erythron.report.wording import (
    describe_range,
    describe_scale,
    end_sentence,
    explain_left_out,
    explain_nothing,
    is_counted,
    judge_range,
    list_outlines,
    list_plans,
    list_sources,
    remark_index,
    shorten_title,
)

from .conftest import Field, make_report


def test_the_scale_is_said_with_where_it_comes_from(field: Field) -> None:
    (shown,) = make_report(field, ["a.png"]).fields
    assert describe_scale(shown) == "not known: sizes are in pixels"
    given = replace(shown, mpp=0.12345, mpp_source=ScaleSource.OPTION)
    assert describe_scale(given) == "0.1235 µm per pixel, given by the user"


def test_ranges_of_one_source_share_a_sentence(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    reference = ReferenceRange(0.1, 0.2, "adults", "A laboratory")
    lines = tuple(replace(line, reference=reference) for line in found.classes[:2])
    bare = replace(found, classes=lines, erythroid_share=None, me_ratio=None)
    assert list_sources(bare) == [
        "Reference for Proerythroblast, Basophilic erythroblast: adults; A laboratory."
    ]


@pytest.mark.parametrize(
    ("raw", "corrected", "outside"),
    [
        ((0.05, 0.02, 0.1), None, "below"),
        ((0.17, 0.1, 0.2), None, "(below)"),
        ((0.2, 0.1, 0.3), None, ""),
        ((0.4, 0.35, 0.5), None, "(above)"),
        ((0.5, 0.4, 0.6), None, "above"),
        ((0.5, 0.4, 0.6), (0.3, 0.2, 0.5), ""),
        ((0.3, 0.25, 0.35), (0.1, 0.0, 0.17), "below"),
        ((0.5, 0.4, 0.6), (0.4, 0.3, 0.6), "(above)"),
    ],
)
def test_a_value_outside_its_range_is_marked_and_in_brackets_where_its_interval_is_not_outside(
    field: Field,
    raw: tuple[float, float, float],
    corrected: tuple[float, float, float] | None,
    outside: str,
) -> None:
    share = make_report(field, ["a.png"]).differential.erythroid_share
    assert share is not None
    estimate = None if corrected is None else Estimate(corrected[0], corrected[1:])
    known = ReferenceRange(0.18, 0.39, "adults", "A laboratory")
    index = replace(share, value=raw[0], interval=Interval(*raw[1:]), corrected=estimate, reference=known)
    assert judge_range(index) == outside
    assert describe_range(index) == "18–39 %"
    assert judge_range(replace(index, reference=None)) == ""


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (CellsNeeded("proerythroblast", "width", 0.05, 0), None),
        (CellsNeeded("proerythroblast", "reference", 0.05, 80), None),
        (
            CellsNeeded("proerythroblast", "width", 0.05, 321),
            "Proerythroblast: about 321 more cells give an interval no wider than 5 percentage points.",
        ),
        (
            CellsNeeded("me_ratio", "reference", 2.0, None),
            "M:E ratio: no reachable number of cells gives an interval wholly to one side of the reference "
            "limit 2.",
        ),
        (
            CellsNeeded("erythroid_share", "reference", 0.32, 40),
            "Erythroid share of classified cells: about 40 more cells give an interval wholly to one side of "
            "the reference limit 32 %.",
        ),
    ],
)
def test_what_more_to_count_is_a_sentence(field: Field, plan: CellsNeeded, sentence: str | None) -> None:
    found = replace(make_report(field, ["a.png"]).differential, count_more=(plan,))
    assert list_plans(found) == ([] if sentence is None else [sentence])


def test_it_is_said_why_nothing_is_counted(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    assert explain_nothing(found) == ""
    nothing = replace(found, nucleated_cells=0, fields=3)
    assert explain_nothing(nothing) == "no nucleated cell is in any of 3 fields"
    assert explain_nothing(replace(nothing, left_out_cells=5)).startswith("of 5 cells that were found each")
    assert explain_nothing(replace(nothing, fields=0)) == "no image could be counted"


def test_the_reason_is_said_for_which_cells_are_in_no_count(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    coarse = replace(found, left_out_cells=5, flags=(QualityFlag("magnification_too_low", "text"),))
    blurred = replace(found, left_out_cells=3, flags=(QualityFlag("region_drawn", "text", 2.0),))
    assert (is_counted(coarse), is_counted(blurred)) == (False, True)
    assert explain_left_out([coarse, blurred, coarse, found]) == [
        "10 cells in fields with too little magnification are in no count.",
        "2 cells outside the region that a person drew are in no count.",
        "1 cell in areas that are out of focus or too thick is in no count.",
    ]
    nothing = explain_nothing(replace(coarse, nucleated_cells=0))
    assert nothing == "of 5 cells that were found each is left out of the count: magnification too low"


def test_text_becomes_a_sentence_and_titles_fit_a_column() -> None:
    assert end_sentence("few cells were counted") == "Few cells were counted."
    assert shorten_title("Proerythroblast") == "Proerythro\u00adblast"


def test_cells_that_persons_added_and_took_away_are_said_in_words(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    review = ReviewReport((), datetime(2026, 1, 2, tzinfo=UTC), (), found)
    assert list_outlines(review) == []
    edits = OutlineEdits(added=3, called_by_model=1, removed=2, split=1)
    assert list_outlines(replace(review, outlines=edits)) == [
        "3 cells were added by a person, 1 of them called by the model alone.",
        "2 cells of the model were taken away (1 split into several).",
    ]
    assert list_outlines(replace(review, outlines=OutlineEdits(added=1, removed=1))) == [
        "1 cell was added by a person.",
        "1 cell of the model was taken away.",
    ]


def test_nucleated_red_cells_beside_few_white_ones_are_remarked() -> None:
    def of(white: int, name: str = "nucleated_red_cells") -> str:
        return remark_index(
            Index(name, name, None, "", "ratio", 2, white, 200 / white if white else None, None)
        )

    assert of(5) == "from 5 white cells alone, where a blood count takes 100 or more"
    assert of(1).startswith("from 1 white cell alone")
    assert (of(100), of(0), of(5, "me_ratio")) == ("", "", "")
