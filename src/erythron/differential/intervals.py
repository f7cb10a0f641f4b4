"""Exact intervals of counted proportions and of ratios of two counts, and the shortest interval of draws.

In: counts or draws. Out: an :class:`Interval`, or two limits. Pure functions: check, format, compute, return.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, chdtri


class Interval(NamedTuple):
    """A closed interval; it is written to JSON as ``[low, high]``."""

    low: float
    high: float


def clopper_pearson(count: int, total: int, level: float = 0.95) -> Interval:
    r"""Return the exact two-sided binomial interval of a proportion.

    With :math:`\alpha = 1 - level`, the limits are quantiles of beta distributions:

    .. math::
        low = B(\alpha/2;\ k,\ n-k+1), \qquad high = B(1-\alpha/2;\ k+1,\ n-k)

    with ``low = 0`` for ``k = 0`` and ``high = 1`` for ``k = n``. Clopper and Pearson, Biometrika 1934,
    doi 10.1093/biomet/26.4.404. It covers the true proportion at least as often as ``level`` says.

    Args:
        count: k, how many of the cells are of the class.
        total: n, how many cells were counted; with 0 nothing is known and the interval is 0 to 1.
        level: probability of coverage, between 0 and 1.

    Raises:
        ValueError: a count is negative, or more than the total, or ``level`` is not between 0 and 1.

    >>> [round(100 * x, 2) for x in clopper_pearson(5, 100)]
    [1.64, 11.28]
    >>> [round(100 * x, 1) for x in clopper_pearson(25, 500)]
    [3.3, 7.3]
    >>> clopper_pearson(0, 0)
    Interval(low=0.0, high=1.0)
    """
    _check(count, total, level)
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1.0 - tail))
    return Interval(low, high)


def goodman(count: int, total: int, lines: int, level: float = 0.95) -> Interval:
    r"""Return the limits of one share of a table such that all its lines hold together.

    With :math:`x` the upper :math:`\alpha / k` point of chi-squared with one degree of freedom, they are

    .. math::
        \frac{x + 2 n_i \pm \sqrt{x (x + 4 n_i (N - n_i) / N)}}{2 (N + x)}

    for a table of :math:`k` lines. Goodman, Technometrics 1965, doi 10.1080/00401706.1965.10490252.

    Args:
        count: cells of the line.
        total: cells of the table; with 0 nothing is known and the interval is 0 to 1.
        lines: lines of the table.
        level: probability that all lines are covered, between 0 and 1.

    Raises:
        ValueError: a count is negative, or more than the total, or ``level`` is not between 0 and 1, or
            there is no line.

    >>> [round(100 * x, 2) for x in goodman(5, 100, lines=4)]
    [1.74, 13.55]
    """
    _check(count, total, level)
    if lines < 1:
        raise ValueError(f"a table must have a line, not {lines}")
    if total == 0:
        return Interval(0.0, 1.0)
    point = float(chdtri(1, (1.0 - level) / lines))
    half = math.sqrt(point * (point + 4.0 * count * (total - count) / total))
    low, high = ((point + 2.0 * count + sign * half) / (2.0 * (total + point)) for sign in (-1.0, 1.0))
    return Interval(max(0.0, low), min(1.0, high))


def ratio_interval(numerator: int, denominator: int, level: float = 0.95) -> Interval | None:
    r"""Return the exact interval of the ratio of two counts, given their sum.

    Given ``a + b``, the count ``a`` is binomial with :math:`p = r / (1 + r)` for the ratio ``r``. So the
    Clopper-Pearson limits of ``a`` in ``a + b`` become limits of the ratio by :math:`r = p / (1 - p)`
    (conditional exact interval; Przyborowski and Wilenski, Biometrika 1940, doi 10.1093/biomet/31.3-4.313).

    Args:
        numerator: a, a count.
        denominator: b, a count.
        level: probability of coverage, between 0 and 1.

    Returns:
        The interval, or None where ``denominator`` is 0, because the ratio is not defined.

    Raises:
        ValueError: a count is negative, or ``level`` is not between 0 and 1.

    >>> [round(x, 2) for x in ratio_interval(30, 10)]
    [1.43, 6.88]
    >>> ratio_interval(3, 0) is None
    True
    """
    _check(numerator, numerator + denominator, level)
    if denominator == 0:
        return None
    share = clopper_pearson(numerator, numerator + denominator, level)
    return Interval(share.low / (1.0 - share.low), share.high / (1.0 - share.high))


def shortest_interval(draws: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the shortest interval that holds the share ``level`` of the draws.

    Args:
        draws: (B,), finite.
        level: between 0 and 1.

    >>> shortest_interval(np.array([0.0, 0.0, 0.1, 0.2, 0.9]), 0.8)
    (0.0, 0.2)
    """
    ordered = np.sort(draws)
    held = max(1, int(np.ceil(level * len(ordered))))
    widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    first = int(widths.argmin())
    return float(ordered[first]), float(ordered[first + held - 1])


def _check(count: int, total: int, level: float) -> None:
    if not 0 <= count <= total:
        raise ValueError(f"a count must lie between 0 and its total, not {count} of {total}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level of an interval must lie between 0 and 1, not {level}")
