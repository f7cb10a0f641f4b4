"""Agreement of two readers or models over the same cells: pure functions on a table of pairs of calls.

In: (K, K) tables, what A called over what B called. Out: kappa, tolerant agreement and exact tests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from erythron.compare.bootstrap import limit_figure

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DRAWS = 2000
FEWEST_GROUPS = 10


def kappa(tables: Ints, power: int) -> Floats:
    r"""Return Cohen's weighted kappa of each table.

    .. math::
        \kappa = 1 - \frac{\sum_{ij} w_{ij} n_{ij}}{\sum_{ij} w_{ij} n_{i\cdot} n_{\cdot j} / n}, \qquad
        w_{ij} = |i - j|^{p}

    with power 2 for ordered classes and 0 (then :math:`w_{ii} = 0`, else 1) for classes without order
    (Cohen 1968, doi 10.1037/h0026256).

    Args:
        tables: (..., K, K) counts.
        power: of the distance of two classes.

    Returns:
        (...) values; nan where both give one and the same class to all cells, so that chance agrees too.

    >>> float(kappa(np.array([[20, 5], [10, 15]]), 0).round(3))
    0.4
    """
    index = np.arange(tables.shape[-1])
    distance = np.abs(index[:, None] - index)
    weight = np.where(distance == 0, 0.0, distance.astype(float) ** power)
    total = np.maximum(tables.sum(axis=(-2, -1)), 1)
    chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :] / total[..., None, None]
    expected = (weight * chance).sum(axis=(-2, -1))
    observed = (weight * tables).sum(axis=(-2, -1))
    return np.asarray(np.where(expected > 0, 1.0 - observed / np.where(expected > 0, expected, 1.0), np.nan))


def tolerant_agreement(tables: Ints, steps: int) -> Floats:
    """Return the share of cells on which both calls are at most some steps of maturation apart.

    Args:
        tables: (..., K, K) counts of ordered classes.
        steps: allowed; 0 for the same class.

    >>> float(tolerant_agreement(np.array([[6, 2, 1], [0, 8, 0], [0, 0, 3]]), 1))
    0.95
    """
    index = np.arange(tables.shape[-1])
    near = np.abs(index[:, None] - index) <= steps
    total = tables.sum(axis=(-2, -1))
    return np.asarray((near * tables).sum(axis=(-2, -1)) / np.where(total > 0, total, np.nan))


def resample_tables(by_group: Ints, seed: int = 0) -> Ints:
    """Return bootstrap tables: groups drawn with replacement where there are ten or more, else cells.

    Cells of one image are alike, so images are what is drawn; a few images are too few to draw from, and the
    interval then speaks of these images alone.

    Args:
        by_group: (G, K, K) counts, one table an image.
        seed: of the draws.

    Returns:
        (DRAWS, K, K) counts.
    """
    rng = np.random.default_rng(seed)
    groups = len(by_group)
    if groups >= FEWEST_GROUPS:
        weights = rng.multinomial(groups, np.full(groups, 1.0 / groups), DRAWS)
        return np.asarray(np.tensordot(weights, by_group, axes=1))
    table = by_group.sum(axis=0)
    total = int(table.sum())
    drawn = rng.multinomial(total, table.ravel() / max(total, 1), DRAWS)
    return drawn.reshape(DRAWS, *table.shape)


def interval_of(value: float, draws: Floats, by_group: Ints, level: float) -> tuple[float, float] | None:
    """Return the limits of a figure of agreement; None where no resample has a value.

    The shortest interval of the draws would give an agreement of 1 the limits 1 to 1.

    Args:
        value: of all cells.
        draws: of :func:`resample_tables`.
        by_group: (G, K, K) counts that the figure is of, one table an image.
        level: probability of coverage.
    """
    sizes = by_group.sum(axis=(1, 2))
    if len(by_group) < FEWEST_GROUPS:
        sizes = np.ones(int(sizes.sum()), dtype=np.int64)
    sizes = sizes[sizes > 0]
    if not len(sizes) or not np.isfinite(draws).any():
        return None
    limits = limit_figure(value, draws, sizes, level)
    return limits.low, limits.high


def mcnemar(only_a: int, only_b: int) -> float:
    r"""Return the exact two-sided probability that two calls differ so unequally by chance.

    Given :math:`n = b + c` pairs on which A and B differ, :math:`b` is binomial with probability one half
    (McNemar 1947, doi 10.1007/BF02295996).

    Args:
        only_a: cells that only A calls so.
        only_b: cells that only B calls so.

    >>> round(mcnemar(1, 9), 4)
    0.0215
    >>> mcnemar(0, 0)
    1.0
    """
    total = only_a + only_b
    if total == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(only_a, only_b), total, 0.5)))


def adjust_holm(probabilities: list[float]) -> list[float]:
    """Return probabilities that hold for all tests together (Holm 1979).

    >>> [round(p, 3) for p in adjust_holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    adjusted = [0.0] * len(order)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * probabilities[i]))
        adjusted[i] = highest
    return adjusted
