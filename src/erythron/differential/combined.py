r"""Corrected shares with one interval for both errors: of sampling cells and of the classifier.

In: the calls of one or several fields and the confusion matrix. Out: an
:class:`~erythron.differential.counts.Estimate` of every share or ratio asked for.

The interval is a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338), which draws weights where the
usual one draws cells, so that a class which was never called is not taken to be impossible:

- rows of the confusion matrix: Dirichlet with its counts plus 1/J in each of J columns, one cell a row in all
  (Berger, Bernardo and Sun 2015, doi 10.1214/14-BA915);
- calls: Dirichlet with their counts plus Jeffreys' 1/2;
- for several fields also calls weighted field by field, each weight Gamma((F - 2) / F): the same bootstrap
  with the field in the place of the cell, its variance unbiased for few fields. They show little of how
  fields differ, so the wider of both limits counts.

Each pair of draws is solved by :func:`~erythron.differential.correction.fit_mixture`. The limits are the
shortest interval that holds the stated share of the draws, on the scale of the share ``A / (A + B)``: at a
class that is absent it becomes one-sided by itself, where limits that cut both tails would be too wide. No
interval leaves out a share that would easily go without a single call: draws in which the errors of other
classes explain more calls than there are would bring an upper limit down to nothing (rule of three, Hanley
and Lippman-Hand 1983, doi 10.1001/jama.1983.03330370053031).

Unclassified cells are a call of their own where the confusion matrix has their column. A specimen unlike the
training data has more of them than any mix explains; the excess is then found as a further component that
is always unclassified, and the limits allow for its cells to be of any class. Where the matrix has no such
column the limits allow that for every unclassified cell.
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

LEAST_SHAPE = 0.05
"""Of the fields' weights: a draw then has nearly one field alone, and two or three cannot say more."""

FIELDS_AT_ONCE = 1000
"""Fields whose weights are drawn at once, so that memory does not grow with their number."""

EXCESS = 0.01
"""Share of unexplained unclassified cells that nearly all draws must pass before there is an excess."""

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


@dataclass(frozen=True)
class Corrected:
    """The answers to several contrasts.

    Attributes:
        estimates: one a contrast, in order.
        unclassified: how these cells entered, as in :class:`~erythron.differential.counts.Correction`.
        unexplained: share of all cells that is unclassified beyond what any mix explains; 0 if not "excess".
    """

    estimates: tuple[Estimate, ...]
    unclassified: Literal["column", "excess", "bounds", "none"]
    unexplained: float


@dataclass(frozen=True)
class _Solved:
    """Shares that were solved for: (B, K) of the classes and (B,) of cells that may be of any."""

    shares: Floats
    unknown: Floats


def estimate_contrasts(
    calls: Calls, confusion: ConfusionMatrix, contrasts: Sequence[Contrast], level: float
) -> Corrected:
    """Return the corrected value of every contrast with its combined interval.

    The same input gives the same limits, because the seed is fixed.

    Args:
        calls: at least one cell.
        confusion: of the model that called them.
        contrasts: of classes that are rows of ``confusion``.
        level: probability of coverage, between 0 and 1.
    """
    counts = calls.counts
    if confusion.has_unclassified:
        counts = np.column_stack([counts, calls.unclassified])
    table = np.array(confusion.counts, dtype=np.float64)
    summed = counts.sum(axis=0).astype(np.float64)
    best = (make_rates(table)[None], (summed / max(summed.sum(), 1.0))[None])
    draws = _draw(table, counts)

    how: Literal["column", "excess", "bounds", "none"]
    if confusion.has_unclassified:
        how, solved = _explain(best, draws, (1.0 - level) / 2.0)
    else:
        fraction = float(calls.unclassified.sum()) / float(calls.counts.sum() + calls.unclassified.sum())
        how = "bounds" if fraction else "none"
        solved = [
            _Solved((1.0 - fraction) * fit_mixture(*pair, rounds), np.full(len(pair[0]), fraction))
            for pair, rounds in ((best, 10 * ROUNDS), *((d, ROUNDS) for d in draws))
        ]
    return Corrected(
        tuple(
            _estimate(c, confusion.true_classes, solved, level, _find_unseen(c, confusion, summed, level))
            for c in contrasts
        ),
        how,
        float(solved[0].unknown[0]) if how == "excess" else 0.0,
    )


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


def _draw(table: Floats, counts: NDArray[np.int64]) -> list[tuple[Floats, Floats]]:
    """Return pairs of rates (B, K, J) and shares of calls (B, J): over cells and, of several, over fields."""
    rng = np.random.default_rng(SEED)
    concentration = table + 1.0 / table.shape[1]
    cells = counts.sum(axis=0) + CALLS_PRIOR
    pairs = [(_draw_dirichlet(concentration, rng), _draw_dirichlet(cells, rng))]
    if len(counts) > 1:
        shape = _field_shape(len(counts))
        weighted = np.zeros((DRAWS, counts.shape[1]))
        for first in range(0, len(counts), FIELDS_AT_ONCE):
            part = counts[first : first + FIELDS_AT_ONCE]
            weighted += rng.standard_gamma(shape, (DRAWS, len(part))) @ part
        weighted += rng.standard_gamma(CALLS_PRIOR, weighted.shape)
        shares = np.asarray(weighted / weighted.sum(axis=1, keepdims=True))
        pairs.append((_draw_dirichlet(concentration, rng), shares))
    return pairs


def _field_shape(fields: int) -> float:
    """Return the shape of the fields' gamma weights; near 1, the Bayesian bootstrap, for many.

    A mean weighted by Dirichlet(a, ..., a) over F fields has the variance s^2 / (a F + 1), s^2 being their
    mean square about it. With a = (F - 2) / F it is the unbiased s^2 / (F - 1).
    """
    return max((fields - 2) / fields, LEAST_SHAPE)


def _draw_dirichlet(concentration: Floats, rng: np.random.Generator) -> Floats:
    """Return (DRAWS, ...) draws along the last axis."""
    gammas = rng.standard_gamma(np.broadcast_to(concentration, (DRAWS, *concentration.shape)))
    return np.asarray(gammas / gammas.sum(axis=-1, keepdims=True))


def make_rates(tables: Floats) -> Floats:
    """Return the rates (..., K, J) of confusion matrices; a call that no row knows gets a trace in each."""
    rates = tables + 1e-3 / tables.shape[-1]
    return np.asarray(rates / rates.sum(axis=-1, keepdims=True))


def _explain(
    best: tuple[Floats, Floats], draws: list[tuple[Floats, Floats]], tail: float
) -> tuple[Literal["column", "excess"], list[_Solved]]:
    """Solve with a component that is always unclassified; without it where that is not clearly there."""
    solved = [_solve_with_unknown(*best, 10 * ROUNDS), *(_solve_with_unknown(*d, ROUNDS) for d in draws)]
    if all(np.quantile(s.unknown, tail) > EXCESS for s in solved[1:]):
        return "excess", solved
    plain = [fit_mixture(*best, 10 * ROUNDS), *(fit_mixture(*d, ROUNDS) for d in draws)]
    return "column", [_Solved(shares, np.zeros(len(shares))) for shares in plain]


def _solve_with_unknown(rates: Floats, shares: Floats, rounds: int) -> _Solved:
    row = np.zeros((len(rates), 1, rates.shape[2]))
    row[:, :, -1] = 1.0
    solved = fit_mixture(np.concatenate([rates, row], axis=1), shares, rounds)
    return _Solved(solved[:, :-1], solved[:, -1])


def _find_unseen(
    contrast: Contrast, confusion: ConfusionMatrix, counts: Floats, level: float
) -> tuple[float, float]:
    """Return the largest shares of ``part`` and of ``rest`` that go without a call once in 1 / (1 - level).

    Args:
        contrast: its classes are rows of ``confusion``.
        confusion: of the model.
        counts: (J,) cells of each call.
        level: probability of coverage, between 0 and 1.
    """
    table = np.array(confusion.counts, dtype=np.float64) + 1.0 / len(confusion.counts[0])
    sides = (contrast.part, contrast.rest)
    rows, columns = (
        [[names.index(name) for name in side] for side in sides]
        for names in (confusion.true_classes, confusion.calls)
    )
    called = float(counts[columns[0] + columns[1]].sum())
    if not called:
        return 1.0, 1.0
    # Of the cells of a side that are called at all, the share that is called as of that side.
    right = [
        table[np.ix_(row, own)].sum() / table[np.ix_(row, columns[0] + columns[1])].sum()
        for row, own in zip(rows, columns, strict=True)
    ]
    unseen = 1.0 - (1.0 - level) ** (1.0 / called)
    part, rest = (min(1.0, float(unseen / share)) for share in right)
    return part, rest


def _estimate(
    contrast: Contrast,
    names: tuple[str, ...],
    solved: list[_Solved],
    level: float,
    unseen: tuple[float, float],
) -> Estimate:
    """Return value and limits; the first of ``solved`` is the best estimate, the others are draws."""
    part = [names.index(name) for name in contrast.part]
    rest = [names.index(name) for name in contrast.rest]

    def split(of: _Solved, to_part: float, to_rest: float) -> Floats:
        inside = of.shares[:, part].sum(axis=1) + to_part * of.unknown
        outside = of.shares[:, rest].sum(axis=1) + to_rest * of.unknown
        # Draws without a cell of either say nothing about their balance.
        known = inside + outside > _REMAINDER
        balance = np.asarray(inside[known] / (inside + outside)[known])
        balance[balance < _REMAINDER] = 0.0
        balance[balance > 1.0 - _REMAINDER] = 1.0
        return balance

    best, *draws = solved
    value = split(best, 0.0, 0.0)
    if not len(value) or any(not len(split(d, 0.0, 0.0)) for d in draws):
        return Estimate(None, None)
    share = float(value[0])
    low = min(share, 1.0 - unseen[1], *(shortest_interval(split(d, 0.0, 1.0), level)[0] for d in draws))
    high = max(share, unseen[0], *(shortest_interval(split(d, 1.0, 0.0), level)[1] for d in draws))
    if contrast.kind == "share":
        return Estimate(share, (low, high))
    if low == 1.0:
        return Estimate(None, None)
    return Estimate(_odds(share), (low / (1.0 - low), _odds(high)))


def _odds(share: float) -> float | None:
    return share / (1.0 - share) if share < 1.0 else None
