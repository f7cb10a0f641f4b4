"""Counting more: the answer is the least total that does it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from erythron.differential.counts import Index, ReferenceRange
from erythron.differential.planning import (
    cells_for_width,
    cells_to_separate,
    plan_counting,
    scale_to_all,
)


def limits(share: float, total: int) -> tuple[float, float]:
    count = share * total
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(60, 400), st.floats(0.03, 0.4))
def test_width_is_reached_there_and_not_a_cell_before(count: int, total: int, width: float) -> None:
    more = cells_for_width(count, total, width)
    assert more is not None
    low, high = limits(count / total, total + more)
    assert high - low <= width + 1e-9
    if more:
        low, high = limits(count / total, total + more - 1)
        assert high - low > width - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(60, 400), st.floats(0.0, 1.0))
def test_the_limit_is_outside_there_and_inside_a_cell_before(count: int, total: int, limit: float) -> None:
    more = cells_to_separate(count, total, limit)
    if more is None:
        assert abs(count / total - limit) < 0.01
        return
    low, high = limits(count / total, total + more)
    assert limit < low + 1e-9 or limit > high - 1e-9
    if more:
        low, high = limits(count / total, total + more - 1)
        assert low - 1e-9 <= limit <= high + 1e-9


def test_published_case() -> None:
    # 5 % in 500 cells is 3.3 to 7.3 % wide: after 100 cells, not quite 400 more give four points.
    assert cells_for_width(5, 100, 0.0401) == pytest.approx(400, abs=10)


def test_no_cells_have_no_answer() -> None:
    assert cells_for_width(0, 0, 0.1) is None
    assert cells_to_separate(0, 0, 0.1) is None


def test_a_limit_at_the_share_itself_is_never_left() -> None:
    assert cells_to_separate(18, 100, 0.18) is None


def test_an_impossible_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        cells_for_width(1, 10, 1.0)


def test_further_cells_of_a_part_take_more_of_all() -> None:
    assert scale_to_all(10, 30, 100) == 34
    assert scale_to_all(None, 30, 100) is None


def test_the_limit_of_a_ratio_is_the_share_of_the_sum_that_it_stands_for() -> None:
    """A ratio of 1.7 is 17 of 27; the cells that this takes are scaled from the two sides to all cells."""
    reference = ReferenceRange(None, 1.7, "adults", "a laboratory")
    index = Index("me_ratio", "M:E", None, "", "ratio", 150, 100, 1.5, None, None, reference)
    (needed,) = plan_counting((), (index,), 500, (0.05, 0.95))
    more = cells_to_separate(150, 250, 17 / 27)
    assert more
    assert (needed.of, needed.question, needed.goal) == ("me_ratio", "reference", 1.7)
    assert needed.more == scale_to_all(more, 250, 500)


def test_the_limit_of_a_share_is_of_its_own_cells() -> None:
    reference = ReferenceRange(0.18, 0.5, "adults", "a laboratory")
    index = Index("erythroid_share", "", None, "", "share", 80, 400, 0.2, None, None, reference)
    low, high = plan_counting((), (index,), 500, (0.05, 0.95))
    assert (low.goal, high.goal) == (0.18, 0.5)
    assert low.more == scale_to_all(cells_to_separate(80, 400, 0.18), 400, 500)
    assert low.more
    assert high.more == 0
