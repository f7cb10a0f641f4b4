r"""Corrected shares with one interval for all errors: of sampling, of the classifier and of missed cells.

In: the calls of one or several fields, the confusion matrix and what is known of missed cells. Out: an
:class:`~erythron.differential.counts.Estimate` of every share or ratio asked for.

The mix of the cells is put together from two parts. **Classified cells** are counted by their calls, and the
counts are solved for the mix behind them (:func:`~erythron.differential.correction.fit_mixture`) with the
rates at which the model calls the cells that it does not leave unclassified. **Unclassified cells** are
dealt out by their own probabilities. So a specimen that is unlike the training data, and has more of them
than any mix explains, needs no assumption on which class they are of. Last, the share of a lineage is divided
by the rate at which its cells are found. Cells that a person has called are added last, as they are: the
rates are of the model, and say nothing of them.

The estimate is made from the sums over all fields; how the same cells lie in fields does not change it. The
interval is a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338), which draws weights where the usual
one draws cells, so that a class which was never called is not taken to be impossible. Each draw takes:

- rows of the confusion matrix: Dirichlet with its counts plus 1/J in each of J columns, one cell a row in all
  (Berger, Bernardo and Sun 2015, doi 10.1214/14-BA915);
- shares of the calls, the unclassified one among them: :mod:`erythron.differential.overdispersion`;
- the mix of the unclassified cells: Dirichlet with the mean of their probabilities times their number, at
  most that of :func:`_count_dealt`;
- the rates at which cells are found: beta.

The limits are the shortest interval that holds the stated share of the draws, on the scale of the share
``A / (A + B)``: at a class that is absent it becomes one-sided by itself, where limits that cut both tails
would be too wide. No interval leaves out a share that would easily go without a single call: draws in which
the errors of other classes explain more calls than there are would bring an upper limit down to nothing
(rule of three, Hanley and Lippman-Hand 1983, doi 10.1001/jama.1983.03330370053031).

Where clearly more cells are unclassified than the mix leads to expect, or where the matrix does not say how
many to expect, an estimate also has a bound: the limits if those cells were all of one side, or all of the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erythron.differential.calls import Calls, Contrast, Corrected, Floats, Knowledge
from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.counts import Estimate
from erythron.differential.detection import draw_recall
from erythron.differential.intervals import shortest_interval
from erythron.differential.overdispersion import draw_calls, measure_overdispersion

DRAWS = 1000
SEED = 20221219
ROUNDS = 120
"""Rounds of the solver for a draw; the estimate itself takes ten times as many."""

DEALT_PART, DEALT_PART_OF_EXCESS = 0.5, 0.25
"""Cells of known class that the probabilities of unclassified cells are worth, at most, as a part of the
cells that the cross-validation left unclassified; the second where there are more than it leads to expect.

They are the model's own, of cells that it is not sure of, and would otherwise be taken to be exact where
there are many; on the cells that the cross-validation left unclassified they were tested. An excess is of
other cells than those. Chosen by ``benchmarks/intervals.py`` among .25, .5 and 1.
"""

DEALT_CELLS = 10
"""The same where the matrix does not tell how many cells were left unclassified."""

EXCESS = 0.01
"""Share of unexplained unclassified cells that nearly all draws must pass before there is an excess."""

HALF_A_CELL = 0.5
"""A lower limit under half a cell is 0: probabilities and draws leave a trace of a class that is absent."""

_REMAINDER = 1e-6
"""A share below this is what the solver has left of nothing."""


@dataclass(frozen=True)
class _Mixes:
    """Mixes that were solved for, best estimate or draws.

    Attributes:
        classified: (B, K), the part of all cells that is classified and of each class.
        dealt: (B, K), the part that is unclassified and of each class by its probabilities.
        odd: (B,), the part that is unclassified beyond what the mix leads to expect.
        found: (B, K), rates at which cells of each class are found.
        confirmed: (B, K), the part that a person has called so.
    """

    classified: Floats
    dealt: Floats
    odd: Floats
    found: Floats
    confirmed: Floats


def estimate_contrasts(
    calls: Calls, known: Knowledge, contrasts: Sequence[Contrast], level: float
) -> Corrected:
    """Return the corrected value of every contrast with its combined interval.

    The same input gives the same limits, because the seed is fixed.

    Args:
        calls: at least one cell.
        known: of the model that called them.
        contrasts: of classes that are rows of the confusion matrix. Where a model has no class of one side,
            the answer is certain: all of it is the other side.
        level: probability of coverage, between 0 and 1.
    """
    table = np.column_stack([calls.counts, calls.unclassified])
    ratio = measure_overdispersion(table).ratio if len(table) > 1 else 1.0
    tail = (1.0 - level) / 2.0
    best, draws = _make_best(calls, known), _draw(calls, known, tail)
    told = known.confusion.has_unclassified
    has_excess = told and _has_excess(draws.odd, tail)
    is_bounded = has_excess or not (told or calls.unclassified.sum() == 0)
    # Cells that are alike count for fewer: a class goes without a call more easily.
    called = calls.counts.sum(axis=0) / max(1.0, ratio)
    cells = int(table.sum())
    estimates = []
    for contrast in contrasts:
        if not (contrast.part and contrast.rest):
            estimates.append(_answer_one_sided(contrast))
            continue
        unseen = _find_unseen(contrast, known.confusion, called, level)
        estimates.append(
            _estimate(contrast, known.confusion.true_classes, (best, draws), (level, unseen, cells))
        )
        if not is_bounded:
            continue
        estimates[-1] = _add_bound(estimates[-1], contrast, known.confusion.true_classes, draws, level)
    return Corrected(tuple(estimates), float(best.odd[0]) if has_excess else 0.0, ratio)


def _answer_one_sided(contrast: Contrast) -> Estimate:
    """Return the answer to a question of which one side has no class."""
    if contrast.rest or not contrast.part:
        return Estimate(0.0, (0.0, 0.0)) if contrast.rest else Estimate(None, None)
    return Estimate(1.0, (1.0, 1.0)) if contrast.kind == "share" else Estimate(None, None)


def make_rates(tables: Floats) -> Floats:
    """Return the rates (..., K, J) of confusion matrices; a call that no row knows gets a trace in each."""
    rates = tables + 1e-3 / tables.shape[-1]
    return np.asarray(rates / rates.sum(axis=-1, keepdims=True))


def _make_best(calls: Calls, known: Knowledge) -> _Mixes:
    """Return the one mix of the best estimate, from the sums over all fields."""
    table = np.array(known.confusion.counts, dtype=np.float64)
    columns = len(known.confusion.calls)
    called = calls.counts.sum(axis=0).astype(np.float64)
    total, unclassified = called.sum() + calls.unclassified.sum(), float(calls.unclassified.sum())
    sure = called * calls.confirmed_part
    counts = called - sure
    left = table[:, columns:].sum(axis=1) / np.maximum(table.sum(axis=1), 1.0)
    mix = fit_mixture(
        make_rates(table[None, :, :columns]), (counts / max(counts.sum(), 1.0))[None], 10 * ROUNDS
    )
    found = [1.0] * len(table)
    if known.detection is not None:
        pairs = [known.detection.of(lineage) for lineage in known.lineages]
        found = [(hit + 0.5) / (drawn + 1.0) for hit, drawn in pairs]
    return _put_together(
        mix * (counts.sum() / total),
        sure[None] / total if calls.confirmed is not None else None,
        calls.unclassified_as.sum(axis=0)[None] / total,
        left[None] if known.confusion.has_unclassified else None,
        np.array(found)[None],
        np.array([unclassified / total]),
    )


def _has_excess(odd: Floats, tail: float) -> bool:
    """Return whether nearly all draws leave more unclassified cells than the mix leads to expect."""
    return bool(np.quantile(odd, tail) > EXCESS)


def _draw(calls: Calls, known: Knowledge, tail: float) -> _Mixes:
    """Return the mixes of ``DRAWS`` draws; the tail is of those that need not show an excess."""
    rng = np.random.default_rng(SEED)
    table = np.array(known.confusion.counts, dtype=np.float64)
    columns = len(known.confusion.calls)
    rates = _draw_dirichlet(np.broadcast_to(table + 1.0 / table.shape[1], (DRAWS, *table.shape)), rng)
    drawn = draw_calls(np.column_stack([calls.counts, calls.unclassified]), calls.unclassified_as, DRAWS, rng)
    unclassified = drawn.shares[:, -1]
    sure = drawn.shares[:, :-1] * calls.confirmed_part
    classified = drawn.shares[:, :-1] - sure
    told = rates[:, :, :columns]
    mix = fit_mixture(
        told / told.sum(axis=2, keepdims=True),
        classified / np.maximum(classified.sum(axis=1, keepdims=True), _REMAINDER),
        ROUNDS,
    )
    found = _draw_found(known, rng)

    def put(dealt: Floats) -> _Mixes:
        return _put_together(
            mix * classified.sum(axis=1, keepdims=True),
            sure if calls.confirmed is not None else None,
            dealt * unclassified[:, None],
            rates[:, :, -1] if known.confusion.has_unclassified else None,
            found,
            unclassified,
        )

    number = int(calls.unclassified.sum())
    if not number:
        return put(mix)
    means = drawn.sums / drawn.sums.sum(axis=1, keepdims=True)
    worth = _count_dealt(known.confusion, has_excess=_has_excess(put(means).odd, tail))
    return put(_draw_dirichlet(min(worth, number) * means, rng))


def _count_dealt(confusion: ConfusionMatrix, *, has_excess: bool) -> int:
    """Return how many cells of known class the probabilities of unclassified cells are worth, at most."""
    if not confusion.has_unclassified:
        return DEALT_CELLS
    part = DEALT_PART_OF_EXCESS if has_excess else DEALT_PART
    return max(1, round(part * sum(row[-1] for row in confusion.counts)))


def _put_together(
    classified: Floats,
    confirmed: Floats | None,
    dealt: Floats,
    left: Floats | None,
    found: Floats,
    unclassified: Floats,
) -> _Mixes:
    """Return mixes with the part of the unclassified cells that none explains.

    Args:
        classified: (B, K) as in :class:`_Mixes`.
        confirmed: (B, K) likewise; None for no such part.
        dealt: (B, K) likewise.
        left: (B, K), rates at which cells of each class are left unclassified; None where nobody knows, and
            no unclassified cell is explained.
        found: (B, K).
        unclassified: (B,), part of all cells that is unclassified.
    """
    odd = unclassified if left is None else unclassified - ((classified + dealt) * left).sum(axis=1)
    return _Mixes(classified, dealt, odd, found, np.zeros_like(dealt) if confirmed is None else confirmed)


def _draw_found(known: Knowledge, rng: np.random.Generator) -> Floats:
    """Return (DRAWS, K) rates at which cells are found, one draw a lineage group."""
    if known.detection is None:
        return np.ones((DRAWS, len(known.lineages)))
    pairs = [known.detection.of(lineage) for lineage in known.lineages]
    drawn = {pair: draw_recall(pair, DRAWS, rng) for pair in dict.fromkeys(pairs)}
    return np.column_stack([drawn[pair] for pair in pairs])


def _draw_dirichlet(concentration: Floats, rng: np.random.Generator) -> Floats:
    """Return one draw for each concentration, along the last axis."""
    gammas = rng.standard_gamma(concentration)
    return np.asarray(gammas / np.maximum(gammas.sum(axis=-1, keepdims=True), np.finfo(float).tiny))


def _find_unseen(
    contrast: Contrast, confusion: ConfusionMatrix, counts: Floats, level: float
) -> tuple[float, float]:
    """Return the largest shares of ``part`` and of ``rest`` that go without a call once in 1 / (1 - level).

    Args:
        contrast: its classes are rows of ``confusion``.
        confusion: of the model.
        counts: (J,) cells of each call, as many as they are worth where cells are alike.
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
    mixes: tuple[_Mixes, _Mixes],
    limits: tuple[float, tuple[float, float], int],
) -> Estimate:
    """Return value and limits of a contrast.

    Args:
        contrast: the question.
        names: of the classes of the mixes.
        mixes: the best estimate and the draws.
        limits: the level of the interval, what :func:`_find_unseen` found, and the cells of all classes.
    """
    best, draws = (_balance(contrast, names, m, 0.0, 0.0) for m in mixes)
    if not len(best) or not len(draws):
        return Estimate(None, None)
    level, unseen, cells = limits
    share = float(best[0])
    low, high = shortest_interval(draws, level)
    sides = [names.index(name) for name in (*contrast.part, *contrast.rest)]
    all_parts = mixes[0].classified + mixes[0].dealt + mixes[0].confirmed
    trace = HALF_A_CELL / (cells * float(all_parts[0, sides].sum()))
    low, high = (0.0 if low < trace else low), (1.0 if high > 1.0 - trace else high)
    low, high = min(share, 1.0 - unseen[1], low), max(share, unseen[0], high)
    if contrast.kind == "share":
        return Estimate(share, (low, high))
    if low == 1.0:
        return Estimate(None, None)
    return Estimate(_odds(share), (low / (1.0 - low), _odds(high)))


def _add_bound(
    estimate: Estimate, contrast: Contrast, names: tuple[str, ...], draws: _Mixes, level: float
) -> Estimate:
    """Return the estimate with limits that allow the unexplained cells to be of either side alone."""
    if estimate.interval is None:
        return estimate
    low = shortest_interval(_balance(contrast, names, draws, 0.0, 1.0), level)[0]
    high: float | None = shortest_interval(_balance(contrast, names, draws, 1.0, 0.0), level)[1]
    if contrast.kind == "ratio":
        low, high = low / max(1.0 - low, _REMAINDER), _odds(high or 0.0)
    first, last = estimate.interval
    widest = None if last is None or high is None else max(last, high)
    return Estimate(estimate.value, estimate.interval, (min(first, low), widest))


def _balance(
    contrast: Contrast, names: tuple[str, ...], mixes: _Mixes, to_part: float, to_rest: float
) -> Floats:
    """Return the share of ``part`` in part and rest, of the mixes that have a cell of either.

    Args:
        contrast: the question.
        names: of the classes of the mixes.
        mixes: B of them.
        to_part: 1 where all unexplained cells are given to ``part``, and none is dealt by its probabilities.
        to_rest: likewise for ``rest``.
    """
    odd = np.maximum(mixes.odd, 0.0)
    given = to_part + to_rest
    unclassified = np.maximum(mixes.dealt.sum(axis=1), _REMAINDER)
    dealt = mixes.dealt * (1.0 - given * np.minimum(odd / unclassified, 1.0))[:, None]
    shares = (mixes.classified + dealt) / mixes.found + mixes.confirmed

    def add_up(side: tuple[str, ...], gets: float) -> Floats:
        of = [names.index(name) for name in side]
        return np.asarray(shares[:, of].sum(axis=1) + gets * odd / mixes.found[:, of].mean(axis=1))

    inside, outside = add_up(contrast.part, to_part), add_up(contrast.rest, to_rest)
    # Draws without a cell of either say nothing about their balance.
    known = inside + outside > _REMAINDER
    balance = np.asarray(inside[known] / (inside + outside)[known])
    balance[balance < _REMAINDER] = 0.0
    balance[balance > 1.0 - _REMAINDER] = 1.0
    return balance


def _odds(share: float) -> float | None:
    return share / (1.0 - share) if share < 1.0 else None
