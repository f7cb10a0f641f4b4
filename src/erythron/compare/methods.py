"""Comparison of two methods over several specimens: pure functions on pairs of values.

In: one value a specimen from each of A and B. Out: bias with limits of agreement, and a robust line. They
follow the spirit of CLSI H20-A2 and EP09; the standards ask for study designs that no program can check.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrit, ndtri, stdtrit

from erythron.differential.intervals import clopper_pearson

Floats = NDArray[np.float64]

FEWEST_SPECIMENS = 3

SPREAD = 1.96
"""Standard deviations on either side of the bias, between which lie 95 % of normal differences."""


@dataclass(frozen=True)
class BlandAltman:
    """Differences B - A.

    Attributes:
        specimens: pairs.
        bias: mean difference.
        bias_interval: of the mean difference.
        limits: bias minus and plus 1.96 standard deviations of the differences.
        limits_intervals: of the lower and of the upper limit.
    """

    specimens: int
    bias: float
    bias_interval: tuple[float, float]
    limits: tuple[float, float]
    limits_intervals: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class PassingBablok:
    """The line B = intercept + slope * A; an interval is None where too few slopes are defined."""

    specimens: int
    slope: float
    slope_interval: tuple[float, float] | None
    intercept: float
    intercept_interval: tuple[float, float] | None


def compare_differences(a: Floats, b: Floats, level: float = 0.95) -> BlandAltman:
    r"""Return bias and limits of agreement of B against A.

    The limits are :math:`\bar d \pm 1.96 s` (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8). Their
    intervals are exact for normal differences: :math:`\bar d + t s / \sqrt n` with quantiles t of the
    noncentral t distribution of n - 1 degrees of freedom and the noncentrality :math:`1.96 \sqrt n` (Carkeet
    2015, doi 10.1097/OPX.0000000000000513). The usual standard error :math:`\sqrt{3 s^2 / n}` covers 92 %
    with five specimens in place of 95 %.

    Args:
        a: (N,) values of A, at least three.
        b: (N,) values of B.
        level: probability of coverage of the intervals.

    Raises:
        ValueError: the shapes differ or there are fewer than three pairs.

    >>> found = compare_differences(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 2.0, 3.5, 4.0]))
    >>> round(found.bias, 2), [round(x, 3) for x in found.limits]
    (0.25, [-0.316, 0.816])
    """
    _check(a, b)
    difference = b - a
    count = len(difference)
    bias, deviation = float(difference.mean()), float(difference.std(ddof=1))
    t = float(stdtrit(count - 1, (1.0 + level) / 2.0))
    of_bias = t * deviation / math.sqrt(count)
    low, high = bias - SPREAD * deviation, bias + SPREAD * deviation
    near, far = (
        deviation / math.sqrt(count) * float(nctdtrit(count - 1, SPREAD * math.sqrt(count), tail))
        for tail in ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    )
    return BlandAltman(
        count,
        bias,
        (bias - of_bias, bias + of_bias),
        (low, high),
        ((bias - far, bias - near), (bias + near, bias + far)),
    )


def fit_passing_bablok(a: Floats, b: Floats, level: float = 0.95) -> PassingBablok | None:
    """Return the robust line through pairs that both carry error (Passing and Bablok 1983).

    The slope is the median of the slopes of all pairs of points, shifted by the number of slopes under -1
    (doi 10.1515/cclm.1983.21.11.709). Slopes of exactly -1 are left out.

    Args:
        a: (N,) values of A, at least three.
        b: (N,) values of B.
        level: probability of coverage of the intervals.

    Returns:
        The line, or None where no two specimens differ.

    Raises:
        ValueError: the shapes differ or there are fewer than three pairs.

    >>> line = fit_passing_bablok(np.arange(5.0), 2 * np.arange(5.0) + 1)
    >>> line.slope, line.intercept
    (2.0, 1.0)
    """
    _check(a, b)
    count = len(a)
    first, second = np.triu_indices(count, 1)
    dx, dy = a[second] - a[first], b[second] - b[first]
    differ = (dx != 0) | (dy != 0)
    with np.errstate(divide="ignore"):
        slopes = dy[differ] / dx[differ]
    slopes = np.sort(slopes[slopes != -1.0])
    size = len(slopes)
    shift = int((slopes < -1.0).sum())
    if size == 0 or shift + (size - 1) // 2 >= size:
        return None
    middle = [shift + (size - 1) // 2, min(shift + size // 2, size - 1)]
    # The geometric mean keeps the line of A on B and that of B on A one line turned over.
    inner, outer = (float(slopes[i]) for i in middle)
    slope = math.sqrt(inner * outer) if inner > 0 else (inner + outer) / 2.0
    if not math.isfinite(slope):
        return None
    intercept = float(np.median(b - slope * a))
    half = float(ndtri((1.0 + level) / 2.0)) * math.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    lower = round((size - half) / 2.0)
    upper = size - lower + 1
    slope_interval = intercept_interval = None
    if lower >= 1 and upper + shift <= size and math.isfinite(slopes[upper + shift - 1]):
        low, high = float(slopes[lower + shift - 1]), float(slopes[upper + shift - 1])
        slope_interval = (low, high)
        intercept_interval = (float(np.median(b - high * a)), float(np.median(b - low * a)))
    return PassingBablok(count, slope, slope_interval, intercept, intercept_interval)


def is_within_binomial_limits(a: tuple[int, int], b: tuple[int, int], level: float = 0.95) -> bool:
    """Return whether B's share lies within the binomial limits of A's, as CLSI H20-A2 judges a differential.

    The limits are those of Ruemke's tables, that is Clopper and Pearson's for A's count.

    Args:
        a: count and total of A.
        b: count and total of B, which is not 0.
        level: probability of coverage of the limits.

    >>> is_within_binomial_limits((5, 100), (11, 100)), is_within_binomial_limits((5, 100), (12, 100))
    (True, False)
    """
    limits = clopper_pearson(*a, level)
    return limits.low <= b[0] / b[1] <= limits.high


def _check(a: Floats, b: Floats) -> None:
    if a.shape != b.shape or a.ndim != 1 or len(a) < FEWEST_SPECIMENS:
        raise ValueError(
            f"{FEWEST_SPECIMENS} or more pairs of values are needed, not {a.shape} and {b.shape}"
        )
