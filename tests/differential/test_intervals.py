"""Intervals against published values, SciPy and their own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import multinomial_proportions_confint

from erythron.differential.intervals import clopper_pearson, goodman, ratio_interval, shortest_interval


@st.composite
def counts_of_total(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(st.integers(1, 5000))
    return draw(st.integers(0, total)), total


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(5, 100, 1.64, 11.28), (25, 500, 3.26, 7.29), (0, 10, 0.0, 30.85), (10, 10, 69.15, 100.0)],
)
def test_equals_published_tables(count: int, total: int, low: float, high: float) -> None:
    interval = clopper_pearson(count, total)
    assert 100 * interval.low == pytest.approx(low, abs=0.005)
    assert 100 * interval.high == pytest.approx(high, abs=0.005)


@settings(deadline=None)
@given(counts_of_total(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_equals_scipy(counts: tuple[int, int], level: float) -> None:
    count, total = counts
    expected = binomtest(count, total).proportion_ci(level, method="exact")
    assert clopper_pearson(count, total, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


@settings(deadline=None)
@given(counts_of_total())
def test_limits_leave_half_of_the_error_on_each_side(counts: tuple[int, int]) -> None:
    count, total = counts
    low, high = clopper_pearson(count, total)
    assert low <= count / total <= high
    if count > 0:
        assert binom.sf(count - 1, total, low) == pytest.approx(0.025, rel=1e-6)
    if count < total:
        assert binom.cdf(count, total, high) == pytest.approx(0.025, rel=1e-6)


def test_covers_at_least_as_often_as_stated() -> None:
    total = 40
    intervals = [clopper_pearson(count, total) for count in range(total + 1)]
    for truth in (0.006, 0.018, 0.1, 0.4, 0.57, 0.9):
        covered = sum(
            binom.pmf(k, total, truth) for k, (low, high) in enumerate(intervals) if low <= truth <= high
        )
        assert covered >= 0.95


def test_no_cells_mean_nothing_is_known() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_limits_are_plain_numbers() -> None:
    assert {type(x) for x in (*clopper_pearson(3, 9), *(ratio_interval(3, 9) or ()))} == {float}


@pytest.mark.parametrize(("count", "total"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of {total}"):
        clopper_pearson(count, total)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        clopper_pearson(1, 2, level)


def test_ratio_by_hand() -> None:
    # 30 of 40 is 58.80 to 87.31 % by Clopper-Pearson, so the ratio is .5880/.4120 to .8731/.1269.
    low, high = ratio_interval(30, 10) or (0.0, 0.0)
    assert low == pytest.approx(0.5880 / 0.4120, abs=0.001)
    assert high == pytest.approx(0.8731 / 0.1269, abs=0.01)


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000))
def test_ratio_turned_over_has_the_limits_turned_over(a: int, b: int) -> None:
    low, high = ratio_interval(a, b) or (0.0, 0.0)
    assert low <= a / b <= high
    assert ratio_interval(b, a) == pytest.approx((1 / high, 1 / low), rel=1e-6)


def test_ratio_to_nothing_is_not_defined() -> None:
    assert ratio_interval(7, 0) is None
    assert ratio_interval(0, 0) is None


def test_ratio_of_nothing_starts_at_zero() -> None:
    low, high = ratio_interval(0, 20) or (1.0, 0.0)
    assert low == 0.0
    assert 0.0 < high < math.inf


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=2, max_size=10).filter(any), st.sampled_from([0.9, 0.95, 0.99]))
def test_simultaneous_limits_equal_statsmodels(counts: list[int], level: float) -> None:
    expected = multinomial_proportions_confint(counts, alpha=1 - level, method="goodman")
    found = [goodman(count, sum(counts), len(counts), level) for count in counts]
    assert np.array(found) == pytest.approx(expected, abs=1e-9)


def test_simultaneous_limits_of_no_cells_or_no_lines() -> None:
    assert goodman(0, 0, 3) == (0.0, 1.0)
    with pytest.raises(ValueError, match="line"):
        goodman(1, 2, 0)


def test_shortest_interval_holds_the_stated_share() -> None:
    draws = np.random.default_rng(0).exponential(size=4000)
    low, high = shortest_interval(draws, 0.9)
    assert ((draws >= low) & (draws <= high)).mean() >= 0.9
    assert low < 0.02
    assert high == pytest.approx(-np.log(0.1), abs=0.15)


@pytest.mark.parametrize(("numerator", "denominator"), [(-1, 0), (-1, 5), (3, -1)])
def test_a_ratio_of_impossible_counts_is_refused(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError, match=" of "):
        ratio_interval(numerator, denominator)


def test_a_ratio_at_an_impossible_level_is_refused_where_it_is_not_defined_too() -> None:
    with pytest.raises(ValueError, match="level"):
        ratio_interval(3, 0, 1.5)
