r"""The mix of a specimen's cells from fallible calls: the best estimate, and draws of what it may be.

In: the calls of one or several fields, the confusion matrix and what is known of missed cells. Out:
:class:`Mixes`, one for the best estimate and :data:`DRAWS` for its error.

Cells that are classified are counted by their calls, and the counts are solved for the mix behind them
(:func:`~erythron.differential.correction.fit_mixture`). Of the unclassified cells there are two accounts:

- **by the rates**: the confusion matrix says what part of each class is left unclassified, so unclassified
  is one more call. What no mix explains of them is dealt out by the probabilities of the unclassified cells;
- **by the probabilities**: all unclassified cells are dealt out by their own probabilities, and the mix is
  solved from the classified ones alone.

The first is right where the model errs as in its cross-validation, and takes an excess of one class to be
like all other unclassified cells. The second notices such an excess, and takes cells of common classes to be
of rare ones, whose probabilities are those of training with equal classes: alone it covered the maturation
index of a steep mix in 55 to 75 % (``docs/results/intervals.md``). The best estimate is the mean of both, and
half of the draws are of each. Last, the share of a lineage is divided by the rate at which its cells are
found. Cells that a person has called are added as they are: the rates are of the model, and say nothing of
them.

The best estimate is made from the sums over all fields; how the same cells lie in fields does not change it.
The draws are those of a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338), which draws weights
where the usual one draws cells, so that a class which was never called is not taken to be impossible. Each
takes:

- rows of the confusion matrix: Dirichlet with its counts plus 1/J in each of J columns, one cell a row in all
  (Berger, Bernardo and Sun 2015, doi 10.1214/14-BA915);
- shares of the calls, the unclassified one among them: :mod:`erythron.differential.overdispersion`;
- the mix of the cells that are dealt out: Dirichlet with the mean of their probabilities times their number,
  at most that of :func:`count_dealt`;
- the rates at which cells are found: beta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from erythron.differential.calls import Calls, Floats, Knowledge
from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.detection import draw_recall
from erythron.differential.overdispersion import draw_calls

DRAWS = 1000
SEED = 20221219
ROUNDS = 120
"""Rounds of the solver for a draw; the estimate itself takes ten times as many."""

BY_RATES = 0.5
"""Weight of the account by the rates in the best estimate, and its part of the draws.

Chosen by ``benchmarks/intervals.py`` among 0, .5, .75 and 1.
"""

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

REMAINDER = 1e-6
"""A share below this is what the solver has left of nothing."""


@dataclass(frozen=True)
class Mixes:
    """Mixes that were solved for, best estimate or draws.

    Attributes:
        counted: (B, K), the part of all cells that is of each class by the calls.
        dealt: (B, K), the part that is unclassified and of each class by its probabilities.
        odd: (B,), the part that is unclassified beyond what the mix leads to expect.
        found: (B, K), rates at which cells of each class are found.
        confirmed: (B, K), the part that a person has called so.
    """

    counted: Floats
    dealt: Floats
    odd: Floats
    found: Floats
    confirmed: Floats


@dataclass(frozen=True)
class _Parts:
    """What both accounts of the unclassified cells start from.

    Attributes:
        rates: (B, K, J) or, where the model tells them, (B, K, J + 1) with those of unclassified cells last.
        classified: (B, J), parts of all cells, without those that a person has called.
        unclassified: (B,), likewise.
        means: (B, K), the mix of the unclassified cells by their probabilities.
    """

    rates: Floats
    classified: Floats
    unclassified: Floats
    means: Floats

    def take(self, rows: slice) -> _Parts:
        """Return some of the rows."""
        return _Parts(self.rates[rows], self.classified[rows], self.unclassified[rows], self.means[rows])


_Account = tuple[Floats, Floats, Floats]
"""``counted``, ``dealt`` and ``odd`` of :class:`Mixes`."""


def make_rates(tables: Floats) -> Floats:
    """Return the rates (..., K, J) of confusion matrices; a call that no row knows gets a trace in each."""
    rates = tables + 1e-3 / tables.shape[-1]
    return np.asarray(rates / rates.sum(axis=-1, keepdims=True))


def make_best(calls: Calls, known: Knowledge) -> Mixes:
    """Return the one mix of the best estimate, from the sums over all fields.

    Args:
        calls: at least one cell.
        known: of the model that called them.
    """
    table = np.array(known.confusion.counts, dtype=np.float64)[None]
    called = calls.counts.sum(axis=0).astype(np.float64)
    unclassified = float(calls.unclassified.sum())
    total = called.sum() + unclassified
    sure = called * calls.confirmed_part
    parts = _Parts(
        make_rates(table),
        (called - sure)[None] / total,
        np.array([unclassified / total]),
        calls.unclassified_as.sum(axis=0)[None] / max(unclassified, 1.0),
    )
    account = _count_by_probability(parts, parts.means, 10 * ROUNDS)
    if known.confusion.has_unclassified:
        other = _count_by_rates(parts, parts.means, 10 * ROUNDS)
        account = _mix_accounts(other, account)
    found = np.ones(table.shape[:2])
    if known.detection is not None:
        pairs = [known.detection.of(lineage) for lineage in known.lineages]
        found[0] = [(hit + 0.5) / (drawn + 1.0) for hit, drawn in pairs]
    return _put_together(account, found, sure[None] / total if calls.confirmed is not None else None)


def draw_mixes(calls: Calls, known: Knowledge, tail: float) -> Mixes:
    """Return ``DRAWS`` draws of the mix; the same input gives the same, because the seed is fixed.

    Args:
        calls: at least one cell.
        known: of the model that called them.
        tail: part of the draws that need not show an excess of unclassified cells.
    """
    rng = np.random.default_rng(SEED)
    table = np.array(known.confusion.counts, dtype=np.float64)
    rates = _draw_dirichlet(np.broadcast_to(table + 1.0 / table.shape[1], (DRAWS, *table.shape)), rng)
    drawn = draw_calls(np.column_stack([calls.counts, calls.unclassified]), calls.unclassified_as, DRAWS, rng)
    sure = drawn.shares[:, :-1] * calls.confirmed_part
    number = int(calls.unclassified.sum())
    means = drawn.sums / np.maximum(drawn.sums.sum(axis=1, keepdims=True), REMAINDER)
    parts = _Parts(rates, drawn.shares[:, :-1] - sure, drawn.shares[:, -1], means)
    found = _draw_found(known, rng)

    def deal(part: _Parts, *, is_excess: bool) -> Floats | None:
        worth = min(count_dealt(known.confusion, is_excess=is_excess), number)
        return _draw_dirichlet(worth * part.means, rng) if number else None

    split = round(BY_RATES * DRAWS) if known.confusion.has_unclassified else 0
    first, last = parts.take(slice(split)), parts.take(slice(split, None))
    odd = _count_by_probability(last, last.means, ROUNDS)[2]
    is_excess = number > 0 and has_excess(odd, tail)
    account = _count_by_probability(last, deal(last, is_excess=is_excess), ROUNDS)
    if split:
        other = _count_by_rates(first, deal(first, is_excess=True), ROUNDS)
        counted, dealt, odd = (np.concatenate(pair) for pair in zip(other, account, strict=True))
        account = counted, dealt, odd
    return _put_together(account, found, sure if calls.confirmed is not None else None)


def has_excess(odd: Floats, tail: float) -> bool:
    """Return whether nearly all draws leave more unclassified cells than the mix leads to expect.

    Args:
        odd: of draws, see :class:`Mixes`.
        tail: part of the draws that need not.
    """
    return len(odd) > 0 and bool(np.quantile(odd, tail) > EXCESS)


def count_dealt(confusion: ConfusionMatrix, *, is_excess: bool) -> int:
    """Return how many cells of known class the probabilities of unclassified cells are worth, at most.

    Args:
        confusion: of the model.
        is_excess: whether the cells are more than it leads to expect.
    """
    if not confusion.has_unclassified:
        return DEALT_CELLS
    part = DEALT_PART_OF_EXCESS if is_excess else DEALT_PART
    return max(1, round(part * sum(row[-1] for row in confusion.counts)))


def _count_by_probability(parts: _Parts, mix: Floats | None, rounds: int) -> _Account:
    """Return the account that deals all unclassified cells out, as ``mix`` (B, K) has their classes.

    Without a mix they are as the others are; then there is none but in draws.
    """
    columns = parts.classified.shape[1]
    told, left = parts.rates[:, :, :columns], parts.rates[:, :, columns:].sum(axis=2)
    size = parts.classified.sum(axis=1, keepdims=True)
    solved = fit_mixture(
        told / told.sum(axis=2, keepdims=True), parts.classified / np.maximum(size, REMAINDER), rounds
    )
    counted, dealt = solved * size, (solved if mix is None else mix) * parts.unclassified[:, None]
    return counted, dealt, parts.unclassified - ((counted + dealt) * left).sum(axis=1)


def _count_by_rates(parts: _Parts, mix: Floats | None, rounds: int) -> _Account:
    """Return the account in which unclassified is a call, and what no mix explains of it is dealt out.

    Without a mix it is as the others are.
    """
    calls = np.column_stack([parts.classified, parts.unclassified])
    size = calls.sum(axis=1, keepdims=True)
    alone = np.zeros((len(calls), 1, calls.shape[1]))
    alone[:, :, -1] = 1.0
    solved = size * fit_mixture(
        np.concatenate([parts.rates, alone], axis=1), calls / np.maximum(size, REMAINDER), rounds
    )
    counted, odd = solved[:, :-1], solved[:, -1:]
    others = counted / np.maximum(counted.sum(axis=1, keepdims=True), REMAINDER)
    return counted, (others if mix is None else mix) * odd, odd[:, 0]


def _mix_accounts(by_rates: _Account, by_probability: _Account) -> _Account:
    counted, dealt, odd = (
        BY_RATES * a + (1.0 - BY_RATES) * b for a, b in zip(by_rates, by_probability, strict=True)
    )
    return counted, dealt, odd


def _put_together(account: _Account, found: Floats, confirmed: Floats | None) -> Mixes:
    counted, dealt, odd = account
    return Mixes(counted, dealt, odd, found, np.zeros_like(counted) if confirmed is None else confirmed)


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
