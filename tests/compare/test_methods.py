"""Comparison of two methods: intervals of the limits of agreement cover with few specimens."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nct

from erythron.compare.methods import compare_differences


@pytest.mark.parametrize("specimens", [3, 5, 20])
def test_intervals_of_the_limits_of_agreement_cover(specimens: int) -> None:
    # By the standard error of sqrt(3 s^2 / n) the limits covered 92 % with five specimens.
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        found = compare_differences(np.zeros(specimens), rng.normal(0.0, 1.0, specimens))
        low, high = found.limits_intervals
        covered += [low[0] <= -1.96 <= low[1], high[0] <= 1.96 <= high[1]]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


def test_intervals_are_quantiles_of_the_noncentral_t() -> None:
    b = np.array([1.0, 3.0, 2.0, 6.0, 4.5])
    found = compare_differences(np.zeros(5), b)
    scale = b.std(ddof=1) / np.sqrt(5)
    wanted = b.mean() + scale * nct.ppf([0.025, 0.975], 4, 1.96 * np.sqrt(5))
    assert found.limits_intervals[1] == pytest.approx(tuple(wanted))
    assert found.limits_intervals[0] == pytest.approx(tuple(2 * b.mean() - wanted[::-1]))
    assert found.limits_intervals[0][0] < found.limits[0] < found.limits_intervals[0][1]


def test_no_difference_has_limits_without_width() -> None:
    found = compare_differences(np.arange(4.0), np.arange(4.0))
    assert found.limits_intervals == ((0.0, 0.0), (0.0, 0.0))
