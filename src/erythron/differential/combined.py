r"""Corrected shares with one interval for both errors: of sampling cells and of the classifier.

In: the calls of one or several fields and the confusion matrix. Out: an
:class:`~erythron.differential.counts.Estimate` of every share or ratio asked for.

The interval is a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338), which draws weights where the
usual one draws cells, so that a class which was never called is not taken to be impossible:

- rows of the confusion matrix: Dirichlet with its counts plus 1/J in each of J columns, one cell a row in all
  (Berger, Bernardo and Sun 2015, doi 10.1214/14-BA915);
- calls: Dirichlet with their counts plus Jeffreys' 1/2;
- for several fields also calls weighted field by field, each weight Gamma(1): the same bootstrap with the
  field in the place of the cell. Few fields show little of how fields differ, so the wider of both limits
  counts.

Each pair of draws is solved by :func:`~erythron.differential.correction.fit_mixture`. The limits are the
shortest interval that holds the stated share of the draws, on the scale of the share ``A / (A + B)``: at a
class that is absent it becomes one-sided by itself, where limits that cut both tails would be too wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.counts import Estimate

Floats = NDArray[np.float64]

DRAWS = 1000
SEED = 20221219
ROUNDS = 120
"""Rounds of the solver for a draw; the estimate itself takes ten times as many."""

CALLS_PRIOR = 0.5

_REMAINDER = 1e-6
"""A share below this is what the solver has left of nothing."""


@dataclass(frozen=True)
class Contrast:
    """A question about a mix: classes ``part`` against classes ``rest``.

    Attributes:
        part: names of classes.
        rest: names of other classes.
        kind: ``share``, part of part and rest together; ``ratio``, part to rest.
    """

    part: tuple[str, ...]
    rest: tuple[str, ...]
    kind: Literal["share", "ratio"]


@dataclass(frozen=True)
class Calls:
    """Calls of nucleated cells, field by field.

    Attributes:
        counts: (F, J) int64, cells of each call that the confusion matrix has, in its order.
        unclassified: (F,) int64, cells under the stated confidence.
    """

    counts: NDArray[np.int64]
    unclassified: NDArray[np.int64]


def estimate_contrasts(
    calls: Calls, confusion: ConfusionMatrix, contrasts: Sequence[Contrast], level: float
) -> list[Estimate]:
    """Return the corrected value of every contrast with its combined interval.

    Unclassified cells are a call of their own where the confusion matrix has their column. Where it has
    none, the limits allow for each of them to be of any class: the lower limit as if all stood against the
    part asked for, the upper as if all were of it. The same input gives the same limits: the seed is fixed.

    Args:
        calls: at least one cell.
        confusion: of the model that called them.
        contrasts: of classes that are rows of ``confusion``.
        level: probability of coverage, between 0 and 1.

    Returns:
        One estimate a contrast, in order.
    """
    counts = calls.counts
    unknown = 0.0
    total = int(counts.sum() + calls.unclassified.sum())
    if confusion.has_unclassified:
        counts = np.column_stack([counts, calls.unclassified])
    else:
        unknown = float(calls.unclassified.sum()) / total
    table = np.array(confusion.counts, dtype=np.float64)
    summed = counts.sum(axis=0).astype(np.float64)

    rng = np.random.default_rng(SEED)
    best = _solve_best(table, summed)
    draws = [_solve(_draw_rates(table, rng), _draw_dirichlet(summed + CALLS_PRIOR, rng))]
    if len(counts) > 1:
        weighted = rng.standard_gamma(1.0, (DRAWS, len(counts))) @ counts
        weighted += rng.standard_gamma(CALLS_PRIOR, weighted.shape)
        draws.append(_solve(_draw_rates(table, rng), weighted / weighted.sum(axis=1, keepdims=True)))
    return [_estimate(c, confusion.true_classes, (best, draws), (unknown, level)) for c in contrasts]


def shortest_interval(draws: Floats, level: float) -> tuple[float, float]:
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


def _draw_dirichlet(concentration: Floats, rng: np.random.Generator) -> Floats:
    """Return (DRAWS, ...) draws along the last axis."""
    gammas = rng.standard_gamma(np.broadcast_to(concentration, (DRAWS, *concentration.shape)))
    return np.asarray(gammas / gammas.sum(axis=-1, keepdims=True))


def _draw_rates(table: Floats, rng: np.random.Generator) -> Floats:
    return _draw_dirichlet(table + 1.0 / table.shape[1], rng)


def _solve(rates: Floats, shares: Floats) -> Floats:
    return fit_mixture(rates, shares, ROUNDS)


def _solve_best(table: Floats, summed: Floats) -> Floats:
    """Return (1, K) shares at the matrix's own rates; a call that no row knows gets a trace in each."""
    rates = table + 1e-3 / table.shape[1]
    rates /= rates.sum(axis=1, keepdims=True)
    return fit_mixture(rates[None], (summed / max(summed.sum(), 1.0))[None], 10 * ROUNDS)


def _estimate(
    contrast: Contrast,
    names: tuple[str, ...],
    solved: tuple[Floats, list[Floats]],
    settings: tuple[float, float],
) -> Estimate:
    """Return value and limits; ``settings`` are the share of unknown cells and the level."""
    best, draws = solved
    unknown, level = settings
    part = [names.index(name) for name in contrast.part]
    rest = [names.index(name) for name in contrast.rest]

    def split(shares: Floats, to_part: float, to_rest: float) -> Floats:
        inside = (1.0 - unknown) * shares[:, part].sum(axis=1) + to_part
        outside = (1.0 - unknown) * shares[:, rest].sum(axis=1) + to_rest
        # Draws without a cell of either say nothing about their balance.
        known = inside + outside > _REMAINDER
        balance = inside[known] / (inside + outside)[known]
        balance[balance < _REMAINDER] = 0.0
        balance[balance > 1.0 - _REMAINDER] = 1.0
        return np.asarray(balance)

    value = split(best, 0.0, 0.0)
    if not len(value) or any(not len(split(d, 0.0, 0.0)) for d in draws):
        return Estimate(None, None)
    low = min(shortest_interval(split(d, 0.0, unknown), level)[0] for d in draws)
    high = max(shortest_interval(split(d, unknown, 0.0), level)[1] for d in draws)
    share = float(value[0])
    low, high = min(low, share), max(high, share)
    if contrast.kind == "share":
        return Estimate(share, (low, high))
    return Estimate(_odds(share), (low / (1.0 - low), _odds(high))) if low < 1.0 else Estimate(None, None)


def _odds(share: float) -> float | None:
    return share / (1.0 - share) if share < 1.0 else None
