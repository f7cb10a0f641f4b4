"""Numbers as the page and the terminal write them."""

from __future__ import annotations

import pytest

from erythron.differential.counts import Estimate, ReferenceRange
from erythron.differential.intervals import Interval
from erythron.report.numbers import (
    format_estimate,
    format_estimate_limits,
    format_limits,
    format_percent,
    format_range,
    format_with_limits,
)


@pytest.mark.parametrize(
    ("value", "interval", "is_share", "text"),
    [
        (0.05, (0.0164, 0.1128), True, "5.0 (1.6–11.3)"),
        (0.05, None, True, "5.0"),
        (None, None, True, "–"),
        (2.5, (1.25, None), False, "2.50 (1.25–no limit)"),
        (None, (0.0, 1.0), False, "not defined"),
    ],
)
def test_a_value_has_its_limits_behind_it(
    value: float | None, interval: tuple[float, float | None] | None, is_share: bool, text: str
) -> None:
    assert format_with_limits(value, interval, is_share=is_share) == text


def test_what_is_not_there_is_a_dash() -> None:
    assert (
        format_percent(None)
        == format_estimate(None, is_share=True)
        == format_estimate_limits(None, is_share=True)
        == "–"
    )
    assert format_range(None, is_share=True) == "–"


def test_shares_are_per_cent_and_ratios_are_not() -> None:
    assert format_limits(Interval(0.0164, 0.1128)) == "1.6–11.3"
    estimate = Estimate(0.25, (0.125, 0.5))
    assert (format_estimate(estimate, is_share=True), format_estimate_limits(estimate, is_share=True)) == (
        "25.0",
        "12.5–50.0",
    )
    assert (format_estimate(estimate, is_share=False), format_estimate_limits(estimate, is_share=False)) == (
        "0.25",
        "0.12–0.50",
    )


@pytest.mark.parametrize(
    ("low", "high", "text"), [(0.1, 0.2, "10–20 %"), (None, 0.2, "up to 20 %"), (0.1, None, "from 10 %")]
)
def test_a_range_may_have_one_end(low: float | None, high: float | None, text: str) -> None:
    reference = ReferenceRange(low=low, high=high, population="adults", source="a book")
    assert format_range(reference, is_share=True) == text
