"""Estimates of true shares: by hand, on exact data, against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erythron.differential.correction import (
    ConfusionMatrix,
    adjust_to_prior_shift,
    fit_mixture,
    invert_confusion,
)

RATES = np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])


def shares_of(weights: list[int]) -> np.ndarray:
    return np.array(weights, dtype=float) / sum(weights)


mixes = st.lists(st.integers(1, 50), min_size=3, max_size=3).map(shares_of)


@settings(max_examples=30, deadline=None)
@given(mixes)
def test_both_inversions_find_the_mix_that_made_the_calls(mix: np.ndarray) -> None:
    calls = mix @ RATES
    assert invert_confusion(RATES, calls) == pytest.approx(mix, abs=1e-6)
    assert fit_mixture(RATES[None], calls[None], rounds=3000)[0] == pytest.approx(mix, abs=1e-3)


def test_an_unclassified_column_is_one_more_equation() -> None:
    rates = np.hstack([RATES * 0.9, np.full((3, 1), 0.1)])
    mix = np.array([0.1, 0.3, 0.6])
    assert invert_confusion(rates, mix @ rates) == pytest.approx(mix, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(mixes)
def test_every_estimate_stays_on_the_simplex_for_calls_that_no_mix_makes(calls: np.ndarray) -> None:
    for shares in (invert_confusion(RATES, calls), fit_mixture(RATES[None], calls[None], rounds=50)[0]):
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(mixes)
def test_no_mix_explains_the_calls_better_than_the_mixture(mix: np.ndarray) -> None:
    calls = np.array([0.2, 0.5, 0.3])
    best = fit_mixture(RATES[None], calls[None], rounds=2000)[0]
    assert calls @ np.log(best @ RATES) >= calls @ np.log(mix @ RATES) - 1e-9


def test_probabilities_of_a_calibrated_classifier_give_the_shifted_mix() -> None:
    rng = np.random.default_rng(1)
    prior, mix = np.array([0.5, 0.5]), np.array([0.05, 0.95])
    truth = rng.choice(2, 20_000, p=mix)
    x = rng.normal(np.where(truth == 0, -1.0, 1.0))
    odds = np.exp(-2.0 * x)  # of two unit normals at -1 and 1
    probabilities = np.column_stack([odds, np.ones_like(odds)]) / (1.0 + odds)[:, None]
    found = adjust_to_prior_shift(probabilities, prior)
    assert found == pytest.approx(mix, abs=0.01)
    assert abs(probabilities.mean(axis=0)[0] - mix[0]) > 0.08


def test_without_shift_the_prior_stays() -> None:
    probabilities = np.array([[0.7, 0.3], [0.3, 0.7]])
    assert adjust_to_prior_shift(probabilities, np.array([0.5, 0.5])) == pytest.approx([0.5, 0.5])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        adjust_to_prior_shift(np.ones((2, 3)) / 3, np.ones(2) / 2)
    with pytest.raises(ValueError, match="positive"):
        adjust_to_prior_shift(np.ones((2, 2)) / 2, np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="do not fit"):
        invert_confusion(RATES, np.ones(4) / 4)
    with pytest.raises(ValueError, match="2 rows of 3"):
        ConfusionMatrix(("a", "b"), ("a", "b"), ((1, 2), (3, 4)), has_unclassified=True)
    with pytest.raises(ValueError, match="negative"):
        ConfusionMatrix(("a",), ("a",), ((-1,),), has_unclassified=False)
