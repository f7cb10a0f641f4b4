"""How many more cells a question takes: exact intervals, searched for the least total that answers it.

In: a count and its total. Out: further cells, if the share stays as counted. The expected count of a larger
total need not be a whole number; the beta quantiles of Clopper and Pearson are defined for any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy.special import betaincinv

from erythron.differential.counts import CellsNeeded, ClassCount, Index
from erythron.differential.intervals import Interval

MOST_CELLS = 100_000
"""More cells than this are no answer: nobody counts them."""


def plan_counting(
    lines: Sequence[ClassCount], indices: Sequence[Index], nucleated: int, goal: tuple[float, float]
) -> tuple[CellsNeeded, ...]:
    """Return what counting more would give: widths of the stages, and limits of every reference range.

    Args:
        lines: of the differential.
        indices: of the differential.
        nucleated: cells counted so far.
        goal: width of a stage's interval that is aimed at, 0 to 1, and the level of the intervals.
    """
    width, level = goal
    needed = []
    for line in lines:
        if line.of_erythroid is not None:
            more = cells_for_width(line.count, nucleated, width, level)
            needed.append(CellsNeeded(line.name, "width", width, more))
    asked = [(line.name, line.reference, (line.count, nucleated), "share") for line in lines]
    for index in indices:
        base = index.denominator + (index.numerator if index.kind == "ratio" else 0)
        asked.append((index.name, index.reference, (index.numerator, base), index.kind))
    for name, reference, (count, base), kind in asked:
        limits = () if reference is None else (reference.low, reference.high)
        for limit in limits:
            if limit is not None and base:
                # A ratio r of two counts is the share r / (1 + r) of their sum.
                share = limit / (1.0 + limit) if kind == "ratio" else limit
                more = scale_to_all(cells_to_separate(count, base, share, level), base, nucleated)
                needed.append(CellsNeeded(name, "reference", limit, more))
    return tuple(needed)


def cells_for_width(count: int, total: int, width: float, level: float = 0.95) -> int | None:
    """Return how many more cells bring the exact interval of a share to at most a width.

    Args:
        count: cells of the class so far.
        total: cells so far; with 0 no share is known and there is no answer.
        width: of the interval, between 0 and 1.
        level: probability of coverage of the interval.

    Returns:
        Further cells, 0 where it is so already, None where ``MOST_CELLS`` in all are not enough.

    Raises:
        ValueError: the width is not between 0 and 1.

    >>> cells_for_width(5, 100, 0.05)
    234
    >>> cells_for_width(5, 100, 0.2)
    0
    """
    if not 0.0 < width < 1.0:
        raise ValueError(f"a width must lie between 0 and 1, not {width}")

    def is_narrow(limits: Interval) -> bool:
        return limits.high - limits.low <= width

    return _search(count, total, is_narrow, level)


def cells_to_separate(count: int, total: int, limit: float, level: float = 0.95) -> int | None:
    """Return how many more cells bring the exact interval of a share wholly to one side of a limit.

    Args:
        count: cells of the class so far.
        total: cells so far; with 0 no share is known and there is no answer.
        limit: of the share, 0 to 1.
        level: probability of coverage of the interval.

    Returns:
        Further cells, 0 where it is so already, None where ``MOST_CELLS`` in all are not enough, as
        for a share that equals the limit.

    >>> cells_to_separate(15, 100, 0.18)
    543
    >>> cells_to_separate(18, 100, 0.18) is None
    True
    """

    def is_apart(limits: Interval) -> bool:
        return limits.high < limit or limits.low > limit

    return _search(count, total, is_apart, level)


def _search(count: int, total: int, is_answer: Callable[[Interval], bool], level: float) -> int | None:
    """Return the least further cells by bisection: with a fixed share the interval shrinks as they grow."""
    if total <= 0:
        return None
    share = count / total
    if is_answer(_limits(share, total, level)):
        return 0
    if not is_answer(_limits(share, MOST_CELLS, level)) or total >= MOST_CELLS:
        return None
    low, high = total, MOST_CELLS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_answer(_limits(share, middle, level)) else (middle, high)
    return high - total


def scale_to_all(more: int | None, base: int, total: int) -> int | None:
    """Return the further cells of all kinds that bring ``more`` cells of a part of them.

    Args:
        more: further cells of the part, or None.
        base: cells of the part so far, at least one.
        total: cells of all kinds so far.
    """
    return None if more is None else math.ceil(more * total / base)


def _limits(share: float, total: int, level: float) -> Interval:
    count = share * total
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1.0, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1.0, total - count, 1.0 - tail))
    return Interval(low, high)
