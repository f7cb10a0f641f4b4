r"""Draws of the mix of calls of a specimen from one or several fields, which differ by more than chance.

In: a table of calls, one row a field. Out: how much more the fields differ than chance lets them, and draws
of the shares of the calls of the specimen that allow for it.

Cells of one field are alike: fields differ by more than a multinomial sample would. How much more is the
overdispersion :math:`\phi`, the variance over that of a multinomial. Two or three fields cannot show it for
every class, so one figure is estimated for all classes together (:func:`measure_overdispersion`) and drawn
with its uncertainty. What the fields show of a class alone enters the more, the more fields there are:
the variance of a contrast is :math:`\lambda` times that over the fields plus :math:`1 - \lambda` times
:math:`\phi` times the multinomial one, with :math:`\lambda = (F - 1) / (F - 1 + 8)` (a variance moderated by
a prior of 8 degrees of freedom, as Smyth 2004, doi 10.2202/1544-6115.1027). The first part is a Bayesian
bootstrap over fields (Rubin 1981, doi 10.1214/aos/1176345338), the second one over cells, each of which
counts for :math:`1 / \phi` cells. With one field there is nothing to compare: :math:`\phi` is 1 and cells
alone are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALLS_PRIOR = 0.5
"""Jeffreys' prior: half a cell of each call, so that a call that was never made is not impossible."""

PRIOR_FREEDOM = 8.0
"""Degrees of freedom of the overdispersion common to all classes against that of a class over the fields.

Of 2, 4, 8 and infinity the one that covers best for two to six fields (``docs/results/intervals.md``).
"""

FIELDS_AT_ONCE = 1000
"""Fields whose weights are drawn at once, so that memory does not grow with their number."""


@dataclass(frozen=True)
class Overdispersion:
    """How much more fields differ than chance lets them.

    Attributes:
        ratio: variance between fields over that of a multinomial sample, at least 0; 1 for chance alone.
        freedom: degrees of freedom that the estimate has; 0 where one field or one call says nothing.
    """

    ratio: float
    freedom: float


@dataclass(frozen=True)
class CallDraws:
    """Draws of the calls of a specimen.

    Attributes:
        shares: (B, C), shares of the calls; rows add up to one.
        sums: (B, K), the further columns of the fields, summed with the same weights of the fields.
    """

    shares: Floats
    sums: Floats


def measure_overdispersion(counts: Ints) -> Overdispersion:
    r"""Return how much more the calls of fields differ than those of multinomial samples of one mix.

    With :math:`y_{fj}` cells of call j among the :math:`n_f` of field f and the pooled shares :math:`p_j`,

    .. math::
        \phi = \frac{\sum_{fj} (y_{fj} - n_f p_j)^2 / n_f}{(F - 1) \operatorname{tr} V}, \qquad
        df = (F - 1) \frac{(\operatorname{tr} V)^2}{\operatorname{tr} V^2}, \qquad
        V = \operatorname{diag}(p) - p p^T

    The squares are not divided by the expected counts, as in Pearson's statistic: then calls of one or two
    cells, which cannot show how fields differ, would weigh as much as those of a hundred. The degrees of
    freedom are Satterthwaite's (1946, doi 10.2307/3002019).

    Args:
        counts: (F, C), cells of each call in each field; fields without cells do not count.

    >>> found = measure_overdispersion(np.array([[30, 70], [50, 50]]))
    >>> round(found.ratio, 2), round(found.freedom, 2)
    (8.33, 1.0)
    """
    table = counts[counts.sum(axis=1) > 0].astype(np.float64)
    if len(table) < 2:
        return Overdispersion(1.0, 0.0)
    sizes = table.sum(axis=1)
    shares = table.sum(axis=0) / sizes.sum()
    trace = float((shares * (1.0 - shares)).sum())
    if trace <= 0.0:
        return Overdispersion(1.0, 0.0)
    squares = float(((table - np.outer(sizes, shares)) ** 2 / sizes[:, None]).sum())
    covariance = np.diag(shares) - np.outer(shares, shares)
    freedom = (len(table) - 1) * trace**2 / float((covariance**2).sum())
    return Overdispersion(squares / ((len(table) - 1) * trace), freedom)


def draw_calls(counts: Ints, further: Floats, draws: int, rng: np.random.Generator) -> CallDraws:
    """Return draws of the shares of the calls of the specimen that the fields are of.

    Args:
        counts: (F, C), cells of each call in each field.
        further: (F, K), further sums over the cells of each field that are to be weighted with them.
        draws: B.
        rng: source of the draws.
    """
    filled = counts.sum(axis=1) > 0
    counts, further = counts[filled], further[filled]
    fields = len(counts)
    ratio = _draw_ratios(measure_overdispersion(counts), draws, rng)
    both = np.column_stack([counts, further]).astype(np.float64)
    left = 1.0
    if fields > 1:
        left = PRIOR_FREEDOM / (fields - 1 + PRIOR_FREEDOM)
        weighted = _weigh_fields(both, draws, rng)
    else:
        weighted = np.broadcast_to(both.sum(axis=0), (draws, both.shape[1]))
    columns = counts.shape[1]
    scale = left * ratio
    gammas = scale * rng.standard_gamma(weighted[:, :columns] / scale)
    gammas += ratio * rng.standard_gamma(CALLS_PRIOR, gammas.shape)
    shares = np.asarray(gammas / gammas.sum(axis=1, keepdims=True))
    return CallDraws(shares, np.asarray(weighted[:, columns:]))


def _draw_ratios(found: Overdispersion, draws: int, rng: np.random.Generator) -> Floats:
    """Return (B, 1) draws of the overdispersion, given its estimate; never less than chance."""
    if not found.freedom:
        return np.ones((draws, 1))
    return np.maximum(1.0, found.ratio * found.freedom / rng.chisquare(found.freedom, (draws, 1)))


def _weigh_fields(table: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Return (draws, C) sums over fields, each field with a random weight, which are 1 in the mean.

    A mean weighted by Dirichlet(a, ..., a) over F fields has the variance s^2 / (a F + 1), s^2 being their
    mean square about it, and its unbiased variance is s^2 / (F - 1). With a = (F - 2 + PRIOR_FREEDOM) / F the
    weights give the part (F - 1) / (F - 1 + PRIOR_FREEDOM) of the latter.
    """
    fields = len(table)
    shape = (fields - 2 + PRIOR_FREEDOM) / fields
    summed = np.zeros((draws, table.shape[1]))
    total = np.zeros((draws, 1))
    for first in range(0, fields, FIELDS_AT_ONCE):
        part = table[first : first + FIELDS_AT_ONCE]
        weights = rng.standard_gamma(shape, (draws, len(part)))
        summed += weights @ part
        total += weights.sum(axis=1, keepdims=True)
    return np.asarray(summed * fields / total)
