"""One way of writing each figure, whatever prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import erythron
from erythron.differential.counts import Estimate, Index, ReferenceRange
from erythron.differential.intervals import Interval
from erythron.report.numbers import (
    format_coefficient,
    format_estimate,
    format_estimate_limits,
    format_estimate_with_limits,
    format_index,
    format_index_limits,
    format_limits,
    format_percent,
    format_range,
    format_ratio,
    format_with_limits,
    tells_nothing,
)


def test_shares_are_per_cent_with_one_decimal_and_ratios_have_two() -> None:
    assert (format_percent(0.12345), format_ratio(0.12345)) == ("12.3", "0.12")
    assert (format_percent(None), format_ratio(None)) == ("–", "–")
    assert format_with_limits(0.5, (0.25, 0.75), is_share=True) == "50.0 (25.0–75.0)"
    assert format_with_limits(None, None, is_share=False) == "not defined"


def test_limits_with_a_negative_one_are_no_sum_of_dashes() -> None:
    assert format_limits(Interval(0.1, 0.2)) == "10.0–20.0"
    assert format_limits((-0.034, 0.011)) == "-3.4 to 1.1"
    assert format_coefficient(-0.1, (-0.25, 0.5)) == "-0.100 (-0.250 to 0.500)"


def test_a_ratio_may_have_no_upper_limit() -> None:
    estimate = Estimate(0.4, (0.2, None))
    assert format_estimate_limits(estimate, is_share=False) == "at least 0.20"
    assert format_estimate_with_limits(estimate, is_share=False) == "0.40 (at least 0.20)"
    assert format_estimate_with_limits(None, is_share=False) == ""
    assert (
        format_estimate(None, is_share=True),
        format_estimate_limits(Estimate(None, None), is_share=True),
    ) == ("–", "–")


@pytest.mark.parametrize(
    ("low", "high", "is_share", "text"),
    [
        (0.18, 0.32, True, "18–32 %"),
        (None, 0.02, True, "up to 2 %"),
        (2.0, None, False, "from 2"),
    ],
)
def test_ranges(low: float | None, high: float | None, is_share: bool, text: str) -> None:
    assert format_range(ReferenceRange(low, high, "adults", "a source"), is_share=is_share) == text
    assert format_range(None, is_share=is_share) == "–"


def test_an_index_names_its_unit() -> None:
    share = Index("s", "S", None, "of cells", "share", 1, 4, 0.25, Interval(0.01, 0.8))
    ratio = Index("r", "R", None, "to cells", "ratio", 1, 0, None, None)
    assert (format_index(share), format_index_limits(share)) == ("25.0 %", "1.0–80.0 %")
    assert (format_index(ratio), format_index_limits(ratio)) == ("not defined", "–")


def test_nothing_that_prints_a_differential_formats_by_itself() -> None:
    package = Path(erythron.__file__).parent
    for name in (
        "report/page.py",
        "report/notebook.py",
        "report/tables.py",
        "cli/count.py",
        "cli/compare.py",
    ):
        text = (package / name).read_text(encoding="utf-8")
        assert not re.search(r":\.\d[fge]\}|\b100(\.0)? \*", text), name


def test_a_corrected_figure_that_may_be_nearly_anything_is_written_in_words() -> None:
    wide, narrow = Estimate(0.4, (0.0, 0.95)), Estimate(0.4, (0.0, 0.9))
    assert (tells_nothing(wide, is_share=True), tells_nothing(narrow, is_share=True)) == (True, False)
    assert format_estimate_with_limits(wide, is_share=True) == "too few cells"
    assert format_estimate(wide, is_share=True) == "–"
    assert format_estimate_limits(wide, is_share=True) == "too few cells"
    assert format_estimate_with_limits(narrow, is_share=True) == "40.0 (0.0–90.0)"
    assert tells_nothing(Estimate(3.0, (0.004, None)), is_share=False)
    assert not tells_nothing(Estimate(3.0, (0.2, None)), is_share=False)
    assert not tells_nothing(Estimate(3.0, (0.0, 7.0)), is_share=False)
    assert not tells_nothing(Estimate(3.0, None), is_share=False)
