"""The two accounts of unclassified cells, and what they are worth together."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from erythron.cells.classes import Lineage
from erythron.differential import mixes
from erythron.differential.calls import Calls, Contrast, Knowledge
from erythron.differential.combined import estimate_contrasts
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.mixes import count_dealt, draw_mixes, make_best

NAMES = ("proerythroblast", "basophilic", "polychromatic", "orthochromatic", "other")
LINEAGES = (*[Lineage.ERYTHROID] * 4, Lineage.OTHER)
RATES = np.array(
    [
        [0.62, 0.14, 0.02, 0.01, 0.09, 0.12],
        [0.08, 0.60, 0.10, 0.01, 0.09, 0.12],
        [0.01, 0.03, 0.72, 0.07, 0.05, 0.12],
        [0.005, 0.005, 0.06, 0.80, 0.04, 0.09],
        [0.01, 0.01, 0.01, 0.01, 0.84, 0.12],
    ]
)
SIZES = (8, 10, 54, 54, 278)
STEEP = np.array([0.002, 0.005, 0.12, 0.173, 0.7])
EVEN = np.full(5, 0.2)


def know(rng: np.random.Generator, times: int = 1) -> Knowledge:
    rows = [rng.multinomial(times * n, row) for n, row in zip(SIZES, RATES, strict=True)]
    counts = tuple(tuple(map(int, row)) for row in rows)
    return Knowledge(ConfusionMatrix(NAMES, NAMES, counts, has_unclassified=True), LINEAGES)


def deal(
    calls: np.ndarray[tuple[int], np.dtype[np.int64]], means: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Calls:
    """One field, its last number the unclassified cells, whose probabilities have these means."""
    return Calls(calls[None, :-1], calls[None, -1], calls[-1] * means[None])


def test_the_maturation_index_is_covered_though_probabilities_take_common_classes_to_be_rare() -> None:
    # By their probabilities alone 48 unclassified cells, of which hardly one is early, hold 10 early ones.
    contrast = Contrast(NAMES[:2], NAMES[2:4], "share")
    truth = STEEP[:2].sum() / STEEP[:4].sum()
    means = (STEEP + EVEN) / 2
    covered = {0.0: 0, mixes.BY_RATES: 0}
    rng = np.random.default_rng(11)
    for _ in range(40):
        known, calls = know(rng), deal(rng.multinomial(400, STEEP @ RATES), means)
        for by_rates in covered:
            with mock.patch.object(mixes, "BY_RATES", by_rates):
                (found,) = estimate_contrasts(calls, known, [contrast], 0.95).estimates
            low, high = found.interval or (1.0, 0.0)
            covered[by_rates] += low <= truth <= (high or 1.0)
    assert covered[0.0] < 0.5 * 40
    assert covered[mixes.BY_RATES] >= 0.8 * 40


def test_where_the_rates_explain_the_unclassified_cells_both_accounts_agree() -> None:
    calls = np.rint(4000 * STEEP @ RATES).astype(np.int64)
    left = STEEP * RATES[:, -1]
    found = make_best(deal(calls, left / left.sum()), know(np.random.default_rng(0), times=10_000))
    assert (found.counted + found.dealt)[0] == pytest.approx(STEEP, abs=0.002)
    assert found.odd[0] == pytest.approx(0.0, abs=0.002)


def test_the_best_estimate_is_the_mean_of_both_accounts_and_draws_are_half_of_each() -> None:
    known = know(np.random.default_rng(3))
    calls = deal(np.array([3, 9, 60, 90, 200, 160]), EVEN)
    alone = []
    for by_rates in (1.0, 0.0):
        with mock.patch.object(mixes, "BY_RATES", by_rates):
            alone.append((make_best(calls, known), draw_mixes(calls, known, 0.025)))
    best, draws = make_best(calls, known), draw_mixes(calls, known, 0.025)
    for name in ("counted", "dealt", "odd"):
        parts = [getattr(of, name) for of, _ in alone]
        assert getattr(best, name) == pytest.approx((parts[0] + parts[1]) / 2)
        first, last = (getattr(drawn, name) for _, drawn in alone)
        assert getattr(draws, name).shape == first.shape
        middle = (first.mean(axis=0) + last.mean(axis=0)) / 2
        assert getattr(draws, name).mean(axis=0) == pytest.approx(middle, abs=0.01)


def test_all_cells_are_of_some_class_in_every_draw() -> None:
    known = know(np.random.default_rng(3))
    for calls in ([3, 9, 60, 90, 200, 160], [3, 9, 60, 90, 200, 0], [0, 0, 0, 0, 0, 30]):
        drawn = draw_mixes(deal(np.array(calls), EVEN), known, 0.025)
        assert (drawn.counted + drawn.dealt).sum(axis=1) == pytest.approx(np.ones(mixes.DRAWS))


def test_a_model_that_does_not_tell_unclassified_cells_deals_them_all_by_their_probabilities() -> None:
    told = know(np.random.default_rng(3))
    table = tuple(row[:-1] for row in told.confusion.counts)
    known = Knowledge(ConfusionMatrix(NAMES, NAMES, table, has_unclassified=False), LINEAGES)
    found = make_best(deal(np.array([3, 9, 60, 90, 200, 40]), EVEN), known)
    assert found.dealt[0] == pytest.approx(40 / 402 * EVEN)
    assert found.odd[0] == pytest.approx(40 / 402)


def test_probabilities_of_an_excess_are_worth_half_as_many_cells() -> None:
    confusion = ConfusionMatrix(NAMES, NAMES, ((40, 0, 0, 0, 0, 40),) * 5, has_unclassified=True)
    assert count_dealt(confusion, is_excess=False) == 100
    assert count_dealt(confusion, is_excess=True) == 50
    untold = ConfusionMatrix(NAMES, NAMES, ((40, 0, 0, 0, 0),) * 5, has_unclassified=False)
    assert count_dealt(untold, is_excess=True) == mixes.DEALT_CELLS
