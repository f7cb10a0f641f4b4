"""Other ways to correct the counts of a specimen that ``benchmarks/intervals.py`` sets beside the one used.

In: a simulated specimen. Out: estimates of the same contrasts. ``estimate_as_before`` is what erythron did
first: fields weighted by a gamma of shape (F - 2) / F, floored at .05, beside cells, the wider of both
limits; unclassified cells as a call of their own, and those that no mix explains of any class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from erythron.differential import combined, mixes, overdispersion
from erythron.differential.calls import Calls, Contrast, Knowledge
from erythron.differential.combined import estimate_contrasts
from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.counts import Estimate
from erythron.differential.intervals import shortest_interval
from erythron.differential.mixes import DRAWS, EXCESS, ROUNDS, SEED, make_rates
from erythron.differential.overdispersion import CallDraws, Overdispersion

Floats = NDArray[np.float64]

LEVEL = 0.95
LEAST_SHAPE = 0.05
MOST_OVERDISPERSED = 20.0


@dataclass(frozen=True)
class Specimen:
    """A simulated specimen, with all that any of the ways needs.

    Attributes:
        calls: as the estimate that is used takes them.
        by_label: (F, J), unclassified cells by the most probable class.
        known: of the model, the confusion matrix with the column of unclassified cells.
        labels: the confusion matrix of the most probable classes, whatever their confidence.
    """

    calls: Calls
    by_label: NDArray[np.int64]
    known: Knowledge
    labels: ConfusionMatrix


def estimate_as_now(specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return the estimates that erythron reports."""
    return estimate_contrasts(specimen.calls, specimen.known, contrasts, LEVEL).estimates


def estimate_bounds(specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return the estimates that erythron reports, with the bound where there is one as the interval."""
    found = estimate_as_now(specimen, contrasts)
    return tuple(replace(e, interval=e.bound or e.interval) for e in found)


def estimate_by_labels(specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return estimates that count every cell by its label, with the confusion matrix of labels."""
    counts = specimen.calls.counts + specimen.by_label
    nothing = np.zeros_like(specimen.calls.unclassified)
    calls = Calls(counts, nothing, np.zeros((len(counts), len(specimen.labels.true_classes))))
    known = Knowledge(specimen.labels, specimen.known.lineages, specimen.known.detection)
    return estimate_contrasts(calls, known, contrasts, LEVEL).estimates


def estimate_dealing(part: float, specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return estimates whose probabilities of unclassified cells are worth another part of those tested."""
    with (
        mock.patch.object(mixes, "DEALT_PART", part),
        mock.patch.object(mixes, "DEALT_PART_OF_EXCESS", part),
    ):
        return estimate_as_now(specimen, contrasts)


def estimate_by_account(
    by_rates: float, specimen: Specimen, contrasts: Sequence[Contrast]
) -> tuple[Estimate, ...]:
    """Return estimates with another weight of the account of unclassified cells by the rates."""
    with mock.patch.object(mixes, "BY_RATES", by_rates):
        return estimate_as_now(specimen, contrasts)


def estimate_with_pearson(specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return estimates with Pearson's overdispersion for all classes and no part of the single class."""
    with mock.patch.object(mixes, "draw_calls", _draw_by_pearson):
        return estimate_as_now(specimen, contrasts)


def estimate_with_spike(
    alike: float, specimen: Specimen, contrasts: Sequence[Contrast]
) -> tuple[Estimate, ...]:
    """Return estimates that hold it likely beforehand that fields differ by chance alone.

    Args:
        alike: how likely, between 0 and 1.
        specimen: simulated.
        contrasts: to estimate.
    """
    with mock.patch.object(overdispersion, "_draw_ratios", partial(_draw_ratios_with_spike, alike)):
        return estimate_as_now(specimen, contrasts)


def _draw_by_pearson(
    counts: NDArray[np.int64], further: Floats, draws: int, rng: np.random.Generator
) -> CallDraws:
    table = counts[:, counts.sum(axis=0) > 0].astype(np.float64)
    ratio = np.ones((draws, 1))
    if min(table.shape) > 1:
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
        freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
        statistic = ((table - expected) ** 2 / expected).sum()
        ratio = np.maximum(1.0, statistic / rng.chisquare(freedom, (draws, 1)))
    gammas = rng.standard_gamma(counts.sum(axis=0) / ratio + 0.5)
    sums = np.broadcast_to(further.sum(axis=0), (draws, further.shape[1]))
    return CallDraws(gammas / gammas.sum(axis=1, keepdims=True), sums)


def _draw_ratios_with_spike(
    alike: float, found: Overdispersion, draws: int, rng: np.random.Generator
) -> Floats:
    """Return (B, 1) draws given a prior of a part on 1 and the rest on 1 to 20, even on the logarithm."""
    if not found.freedom:
        return np.ones((draws, 1))
    grid = np.exp(np.linspace(0.0, np.log(MOST_OVERDISPERSED), 120))
    likelihood = chi2.pdf(found.ratio * found.freedom / grid, found.freedom) / grid
    weights = likelihood * np.where(grid == 1.0, alike, (1.0 - alike) / (len(grid) - 1))
    return np.asarray(rng.choice(grid, size=(draws, 1), p=weights / weights.sum()))


def estimate_as_before(specimen: Specimen, contrasts: Sequence[Contrast]) -> tuple[Estimate, ...]:
    """Return the estimates that erythron made first."""
    confusion = specimen.known.confusion
    counts = np.column_stack([specimen.calls.counts, specimen.calls.unclassified])
    table = np.array(confusion.counts, dtype=np.float64)
    summed = counts.sum(axis=0).astype(np.float64)
    best = (make_rates(table)[None], (summed / summed.sum())[None])
    rng = np.random.default_rng(SEED)

    def dirichlet(concentration: Floats) -> Floats:
        gammas = rng.standard_gamma(np.broadcast_to(concentration, (DRAWS, *concentration.shape)))
        return np.asarray(gammas / gammas.sum(axis=-1, keepdims=True))

    draws = [(dirichlet(table + 1.0 / table.shape[1]), dirichlet(summed + 0.5))]
    if len(counts) > 1:
        shape = max((len(counts) - 2) / len(counts), LEAST_SHAPE)
        weighted = rng.standard_gamma(shape, (DRAWS, len(counts))) @ counts
        weighted += rng.standard_gamma(0.5, weighted.shape)
        draws.append(
            (dirichlet(table + 1.0 / table.shape[1]), weighted / weighted.sum(axis=1, keepdims=True))
        )
    solved = [_solve_with_unknown(*best, 10 * ROUNDS), *(_solve_with_unknown(*d, ROUNDS) for d in draws)]
    if not all(np.quantile(unknown, (1.0 - LEVEL) / 2.0) > EXCESS for _, unknown in solved[1:]):
        plain = [fit_mixture(*best, 10 * ROUNDS), *(fit_mixture(*d, ROUNDS) for d in draws)]
        solved = [(shares, np.zeros(len(shares))) for shares in plain]
    return tuple(_limit(contrast, confusion, summed, solved) for contrast in contrasts)


def _solve_with_unknown(rates: Floats, shares: Floats, rounds: int) -> tuple[Floats, Floats]:
    row = np.zeros((len(rates), 1, rates.shape[2]))
    row[:, :, -1] = 1.0
    solved = fit_mixture(np.concatenate([rates, row], axis=1), shares, rounds)
    return solved[:, :-1], solved[:, -1]


def _limit(
    contrast: Contrast, confusion: ConfusionMatrix, summed: Floats, solved: list[tuple[Floats, Floats]]
) -> Estimate:
    names = confusion.true_classes
    part, rest = ([names.index(n) for n in side] for side in (contrast.part, contrast.rest))

    def split(of: tuple[Floats, Floats], to_part: float, to_rest: float) -> Floats:
        inside = of[0][:, part].sum(axis=1) + to_part * of[1]
        outside = of[0][:, rest].sum(axis=1) + to_rest * of[1]
        known = inside + outside > 1e-6
        balance = np.asarray(inside[known] / (inside + outside)[known])
        balance[balance < 1e-6] = 0.0
        return balance

    share = float(split(solved[0], 0.0, 0.0)[0])
    unseen = combined._find_unseen(contrast, confusion, summed, LEVEL)
    low = min(share, 1 - unseen[1], *(shortest_interval(split(s, 0.0, 1.0), LEVEL)[0] for s in solved[1:]))
    high = max(share, unseen[0], *(shortest_interval(split(s, 1.0, 0.0), LEVEL)[1] for s in solved[1:]))
    if contrast.kind == "share":
        return Estimate(share, (low, high))
    odds = [x / (1.0 - x) if x < 1.0 else None for x in (share, low, high)]
    return Estimate(odds[0], (odds[1] or 0.0, odds[2]))
