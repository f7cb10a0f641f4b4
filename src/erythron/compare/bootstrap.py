"""Intervals of figures of a model from resampled groups of cells, and a threshold that holds.

In: a figure of all cells and of resamples in which whole groups (patients, smears, overlapping crops) were
drawn. Out: limits that cover as often as they say with 20 to 60 groups, where the percentiles of the
resamples cover 85 to 91 % in place of 95 and a figure of 1 has the limits 1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 1000
"""With so many the limits of a 95 % interval vary by about a tenth of its width."""


@dataclass(frozen=True)
class Limits:
    """A figure with its interval.

    Attributes:
        value: of all cells.
        low: lower limit.
        high: upper limit.
    """

    value: float
    low: float
    high: float


Limit = Callable[[float, Floats, Ints], Limits]
"""What makes the limits of a figure: from its value, its values in resamples, and the sizes of its groups."""


def limit_figures(
    figures: Callable[[Ints], Mapping[str, float]],
    groups: NDArray[np.str_],
    seed: int,
    rows_of: Mapping[str, NDArray[np.bool_]] | None = None,
    limit: Limit | None = None,
) -> dict[str, Limits]:
    """Return every figure with 95 % limits from ``RESAMPLES`` resamples of groups.

    Args:
        figures: of the rows of a resample; nan for one that these rows do not have. A figure that all rows
            together do not have is left out, and a resample without it does not count for it.
        groups: (N,) group of each row.
        seed: of the resamples.
        rows_of: (N,) which rows a figure is of, by its name; one that is not named is of all.
        limit: makes the limits of one figure; None for :func:`limit_figure`.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    rng = np.random.default_rng(seed)
    value = {name: v for name, v in figures(np.arange(len(groups))).items() if not math.isnan(v)}
    drawn = [
        figures(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
        for _ in range(RESAMPLES)
    ]
    found = {}
    for name, v in value.items():
        sizes = np.bincount(group_of if rows_of is None or name not in rows_of else group_of[rows_of[name]])
        found[name] = (limit or limit_figure)(v, np.array([d[name] for d in drawn]), sizes[sizes > 0])
    return found


def limit_figure(value: float, drawn: Floats, sizes: Ints, level: float = 0.95) -> Limits:
    r"""Return the limits of a figure between 0 and 1 from its values in resamples of groups.

    The figure is taken for a share of :math:`n` independent cells whose variance is that of the resamples,

    .. math::
        n = \frac{p (1 - p)}{s^2} \left(\frac{z}{t}\right)^2

    and at most all cells, and has the exact limits of such a share (Korn and Graubard 1998, Survey
    Methodology 24: 193-201). Here :math:`s^2` is the variance of the resamples times :math:`G / (G - 1)`, and
    z and t are the quantiles of the normal distribution and of Student's with :math:`G - 1` degrees of
    freedom, with :math:`G = (\sum n_g)^2 / \sum n_g^2` groups of equal size. A figure of 1, which is 1 in
    every resample, gets the limits of all cells right. A figure such as kappa that may be negative is a share
    as long as it is far from 0; below 0 it has the limits of 0.

    Args:
        value: of all cells.
        drawn: (B,) its values in the resamples; those that are not finite do not count.
        sizes: (G,) cells of each group that the figure is of.
        level: probability of coverage, between 0 and 1.

    >>> limits = limit_figure(1.0, np.ones(1000), np.full(126, 1))
    >>> round(limits.low, 3), limits.high
    (0.971, 1.0)
    """
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(known):
        return Limits(value, math.nan, math.nan)
    return limit_share(value, float(known.var()), sizes, level)


def limit_share(value: float, variance: float, sizes: Ints, level: float = 0.95) -> Limits:
    """Return the limits of a figure between 0 and 1 from the variance of its resamples.

    Args:
        value: of all cells.
        variance: of its values in the resamples.
        sizes: (G,) cells of each group that the figure is of.
        level: probability of coverage, between 0 and 1.
    """
    share = min(max(value, 0.0), 1.0)
    cells = float(sizes.sum())
    groups = _count_groups(sizes)
    tail = (1.0 - level) / 2.0
    worth = cells
    if variance > 0.0 and groups > 1.0:
        shrink = float(ndtri(tail) / stdtrit(groups - 1.0, tail)) ** 2
        spread = variance * groups / (groups - 1.0)
        worth = min(max(share * (1.0 - share) / spread * shrink, 1.0), cells)
    right = share * worth
    low = 0.0 if right <= 0.0 else float(betaincinv(right, worth - right + 1.0, tail))
    high = 1.0 if right >= worth else float(betaincinv(right + 1.0, worth - right, 1.0 - tail))
    return Limits(value, min(low, value), max(high, value))


def limit_mean(value: float, drawn: Floats, sizes: Ints, level: float = 0.95) -> Limits:
    r"""Return the limits of a mean of measurements, or of a difference, from its values in resamples.

    They are :math:`\bar{x} \pm t \, s \sqrt{G / (G - 1)}`, with s the standard deviation of the resamples, t
    the quantile of Student's distribution with :math:`G - 1` degrees of freedom and G as in
    :func:`limit_figure`. The factor is what resamples of G groups vary too little by.

    Args:
        value: of all cells.
        drawn: (B,) its values in the resamples; those that are not finite do not count.
        sizes: (G,) cells of each group that it is of.
        level: probability of coverage, between 0 and 1.

    >>> limits = limit_mean(0.5, np.array([0.4, 0.6]), np.full(10, 5))
    >>> round(limits.low, 3), round(limits.high, 3)
    (0.262, 0.738)
    """
    known = drawn[np.isfinite(drawn)]
    groups = _count_groups(sizes)
    if not math.isfinite(value) or not len(known) or groups <= 1.0:
        return Limits(value, math.nan, math.nan)
    spread = math.sqrt(float(known.var()) * groups / (groups - 1.0))
    half = -float(stdtrit(groups - 1.0, (1.0 - level) / 2.0)) * spread
    return Limits(value, value - half, value + half)


def _count_groups(sizes: Ints) -> float:
    """Return how many groups of equal size these are worth (Kish 1965)."""
    return float(sizes.sum()) ** 2 / float((sizes.astype(np.float64) ** 2).sum())


def choose_confidence(
    confidence: Floats, wrong: NDArray[np.bool_], risk: float, level: float = 0.95
) -> float:
    """Return the least confidence at or above which at most ``risk`` of the calls are wrong, with certainty.

    The share of wrong calls that was counted is over the true one in half of the samples. So its upper limit
    (Clopper and Pearson, one-sided) must be at most ``risk``. The limit is of one threshold, and the least of
    all that pass is taken: in simulated samples of 404 and 1500 cells the chosen one held in 96 %.

    Args:
        confidence: (N,) of each call.
        wrong: (N,) whether it is wrong.
        risk: largest share of wrong calls, between 0 and 1.
        level: probability that it holds, between 0 and 1.

    Returns:
        The threshold; 1.0 where no confidence reaches that.
    """
    order = np.argsort(-confidence, kind="stable")
    failed = np.cumsum(wrong[order]).astype(np.float64)
    kept = np.arange(1, len(order) + 1, dtype=np.float64)
    upper = np.where(failed < kept, betaincinv(failed + 1.0, np.maximum(kept - failed, 0.5), level), 1.0)
    # A threshold keeps every call of its own confidence: only the last of equal ones stands for it.
    ordered = confidence[order]
    last = np.append(ordered[1:] < ordered[:-1], True) if len(order) else np.zeros(0, dtype=bool)
    passed = np.flatnonzero(last & (upper <= risk))
    return float(ordered[passed[-1]]) if len(passed) else 1.0
