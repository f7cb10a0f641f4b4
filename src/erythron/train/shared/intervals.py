"""95 % intervals from resampled cross-validation groups, and the paired test of two models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from erythron.bundle.schema import Estimate
from erythron.train.shared.metrics import Ints

BOOTSTRAPS = 1000
"""Resamples; with so many the limits of a 95 % interval vary by about a tenth of its width."""


def resample_groups(groups: NDArray[np.str_], seed: int) -> Callable[[], Ints]:
    """Return a function that draws groups with replacement and returns the rows of what it drew.

    Cells of one group (patient, smear, overlapping crops) are not independent, so whole groups are drawn.

    Args:
        groups: (N,) group of each row.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    _, group_of = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])

    def draw() -> Ints:
        return np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])

    return draw


def estimate(
    figures: Callable[[Ints], dict[str, float]], groups: NDArray[np.str_], seed: int
) -> dict[str, Estimate]:
    """Return figures with 95 % percentile intervals from ``BOOTSTRAPS`` resamples of groups.

    Args:
        figures: of the rows of a resample, nan where they have none. A figure that all rows together lack is
            left out, and a resample without it does not count.
        groups: (N,) group of each row.
        seed: of the draws.
    """
    value = figures(np.arange(len(groups)))
    draw = resample_groups(groups, seed)
    drawn = [figures(draw()) for _ in range(BOOTSTRAPS)]
    out = {}
    for name, v in value.items():
        if np.isnan(v):
            continue
        low, high = np.nanpercentile([d[name] for d in drawn], [2.5, 97.5])
        out[name] = Estimate(value=round(v, 4), low=round(float(low), 4), high=round(float(high), 4))
    return out


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value that two models are equally often right on the same cells.

    Binomial on the cells that one of them alone has right (McNemar 1947, doi 10.1007/BF02295996).
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)
