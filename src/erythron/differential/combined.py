r"""Corrected shares with one interval for all errors: of sampling, of the classifier and of missed cells.

In: the calls of one or several fields, the confusion matrix and what is known of missed cells. Out: an
:class:`~erythron.differential.counts.Estimate` of every share or ratio asked for, from the mixes of
:mod:`erythron.differential.mixes`.

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

import numpy as np

from erythron.differential.calls import Calls, Contrast, Corrected, Floats, Knowledge
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import Estimate
from erythron.differential.intervals import shortest_interval
from erythron.differential.mixes import REMAINDER, Mixes, draw_mixes, has_excess, make_best
from erythron.differential.overdispersion import measure_overdispersion

HALF_A_CELL = 0.5
"""A lower limit under half a cell is 0: probabilities and draws leave a trace of a class that is absent."""


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
    best, draws = make_best(calls, known), draw_mixes(calls, known, tail)
    told = known.confusion.has_unclassified
    is_excess = told and has_excess(draws.odd, tail)
    is_bounded = is_excess or not (told or calls.unclassified.sum() == 0)
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
    return Corrected(tuple(estimates), float(best.odd[0]) if is_excess else 0.0, ratio)


def _answer_one_sided(contrast: Contrast) -> Estimate:
    """Return the answer to a question of which one side has no class."""
    if contrast.rest or not contrast.part:
        return Estimate(0.0, (0.0, 0.0)) if contrast.rest else Estimate(None, None)
    return Estimate(1.0, (1.0, 1.0)) if contrast.kind == "share" else Estimate(None, None)


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
    mixes: tuple[Mixes, Mixes],
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
    all_parts = mixes[0].counted + mixes[0].dealt + mixes[0].confirmed
    trace = HALF_A_CELL / (cells * float(all_parts[0, sides].sum()))
    low, high = (0.0 if low < trace else low), (1.0 if high > 1.0 - trace else high)
    low, high = min(share, 1.0 - unseen[1], low), max(share, unseen[0], high)
    if contrast.kind == "share":
        return Estimate(share, (low, high))
    if low == 1.0:
        return Estimate(None, None)
    return Estimate(_odds(share), (low / (1.0 - low), _odds(high)))


def _add_bound(
    estimate: Estimate, contrast: Contrast, names: tuple[str, ...], draws: Mixes, level: float
) -> Estimate:
    """Return the estimate with limits that allow the unexplained cells to be of either side alone."""
    if estimate.interval is None:
        return estimate
    low = shortest_interval(_balance(contrast, names, draws, 0.0, 1.0), level)[0]
    high: float | None = shortest_interval(_balance(contrast, names, draws, 1.0, 0.0), level)[1]
    if contrast.kind == "ratio":
        low, high = low / max(1.0 - low, REMAINDER), _odds(high or 0.0)
    first, last = estimate.interval
    widest = None if last is None or high is None else max(last, high)
    return Estimate(estimate.value, estimate.interval, (min(first, low), widest))


def _balance(
    contrast: Contrast, names: tuple[str, ...], mixes: Mixes, to_part: float, to_rest: float
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
    unclassified = np.maximum(mixes.dealt.sum(axis=1), REMAINDER)
    dealt = mixes.dealt * (1.0 - given * np.minimum(odd / unclassified, 1.0))[:, None]
    shares = (mixes.counted + dealt) / mixes.found + mixes.confirmed

    def add_up(side: tuple[str, ...], gets: float) -> Floats:
        of = [names.index(name) for name in side]
        return np.asarray(shares[:, of].sum(axis=1) + gets * odd / mixes.found[:, of].mean(axis=1))

    inside, outside = add_up(contrast.part, to_part), add_up(contrast.rest, to_rest)
    # Draws without a cell of either say nothing about their balance.
    known = inside + outside > REMAINDER
    balance = np.asarray(inside[known] / (inside + outside)[known])
    balance[balance < REMAINDER] = 0.0
    balance[balance > 1.0 - REMAINDER] = 1.0
    return balance


def _odds(share: float) -> float | None:
    return share / (1.0 - share) if share < 1.0 else None
