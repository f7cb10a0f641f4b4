"""Limits of figures from resampled groups cover, and a threshold holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from erythron.compare.bootstrap import choose_confidence, limit_figure, limit_figures, limit_mean


@pytest.mark.parametrize("groups", [20, 40])
def test_covers_with_few_groups(groups: int) -> None:
    # Percentiles of the same resamples cover 85 to 91 %.
    rng = np.random.default_rng(1)
    true, alike = 0.9, 0.1
    covered = []
    for _ in range(200):
        sizes = rng.integers(2, 10, groups)
        rates = rng.beta(true * (1 / alike - 1), (1 - true) * (1 / alike - 1), groups)
        right = rng.binomial(sizes, rates)
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), 300)
        limits = limit_figure(right.sum() / sizes.sum(), (weights @ right) / (weights @ sizes), sizes)
        covered.append(limits.low <= true <= limits.high)
    assert 0.92 <= np.mean(covered) <= 0.99


def test_a_figure_of_one_has_the_exact_limits_of_all_cells() -> None:
    # "Within one stage 1.000 (1.000-1.000)" of 126 cells.
    sizes = np.array([40, 50, 36])
    limits = limit_figure(1.0, np.ones(100), sizes)
    assert (limits.low, limits.high) == (pytest.approx(0.9711, abs=1e-4), 1.0)
    assert limit_figure(0.0, np.zeros(100), sizes).high == pytest.approx(1 - 0.9711, abs=1e-4)


def test_cells_that_are_alike_within_groups_widen_the_limits() -> None:
    def width(groups: np.ndarray) -> float:
        right = np.repeat(np.random.default_rng(0).random(50) < 0.8, 8)
        found = limit_figures(lambda rows: {"right": float(right[rows].mean())}, groups, seed=0)["right"]
        return found.high - found.low

    whole = np.repeat(np.arange(50), 8).astype(str)
    assert width(whole) > 1.8 * width(np.arange(400).astype(str))


def test_a_resample_without_a_figure_does_not_count_and_the_seed_decides() -> None:
    right = np.arange(60) % 5 > 0
    groups = (np.arange(60) // 3).astype(str)

    def figures(rows: np.ndarray) -> dict[str, float]:
        few = len(np.unique(rows)) < 36
        return {"right": math.nan if few else float(right[rows].mean()), "none": math.nan}

    one, two = (limit_figures(figures, groups, seed=4) for _ in range(2))
    assert one == two
    assert set(one) == {"right"}
    assert one["right"].low < one["right"].value == 0.8 < one["right"].high


def test_a_figure_of_some_cells_has_the_limits_of_these_cells() -> None:
    # "Within one stage" is of the 126 erythroid cells of 404, not of all.
    is_staged = np.arange(404) < 126
    found = limit_figures(
        lambda _: {"within": 1.0, "all": 1.0},
        np.arange(404).astype(str),
        seed=0,
        rows_of={"within": is_staged},
    )
    assert found["within"].low == pytest.approx(0.9711, abs=1e-4)
    assert found["all"].low == pytest.approx(0.9909, abs=1e-4)


def test_limits_of_a_difference_cover_with_few_groups() -> None:
    # Percentiles of the same resamples cover 88 % with 10 groups.
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        means = rng.normal(0.1, 0.2, 10)
        drawn = rng.choice(means, (300, 10)).mean(axis=1)
        limits = limit_mean(float(means.mean()), drawn, np.full(10, 4))
        covered.append(limits.low <= 0.1 <= limits.high)
    assert 0.93 <= np.mean(covered) <= 0.98


def test_a_figure_that_no_resample_has_has_no_limits() -> None:
    found = limit_figure(0.5, np.full(10, np.nan), np.array([3, 4]))
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_threshold_holds_in_nineteen_of_twenty_samples() -> None:
    # The share that was counted is under the true one in half of the samples.
    rng = np.random.default_rng(0)
    held, counted = [], []
    for _ in range(200):
        confidence = rng.uniform(0.5, 1.0, 400)
        wrong = rng.random(400) < (1.0 - confidence) / 2

        def true_risk(threshold: float) -> float:
            return (1.0 - (threshold + 1.0) / 2) / 2

        held.append(true_risk(choose_confidence(confidence, wrong, 0.08)) <= 0.08)
        order = np.argsort(-confidence)
        passed = np.flatnonzero(np.cumsum(wrong[order]) / np.arange(1, 401) <= 0.08)
        counted.append(true_risk(confidence[order][passed[-1]]) <= 0.08)
    assert np.mean(held) >= 0.93
    assert np.mean(counted) < 0.7


def test_a_threshold_by_hand() -> None:
    # 59 right calls without a wrong one have an upper limit of 1 - .05^(1/59) = .0495.
    confidence = np.concatenate([np.full(59, 0.9), np.full(40, 0.6)])
    wrong = np.concatenate([np.zeros(59, bool), np.ones(40, bool)])
    assert choose_confidence(confidence, wrong, 0.05) == 0.9
    assert choose_confidence(confidence[1:], wrong[1:], 0.05) == 1.0
    assert choose_confidence(np.full(59, 0.9), wrong[:59] | (np.arange(59) == 3), 0.05) == 1.0
    assert choose_confidence(np.zeros(0), np.zeros(0, bool), 0.05) == 1.0
