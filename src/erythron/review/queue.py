"""Which cells a reader should call next: those in doubt, and no two that are alike.

In: probabilities and traits of the cells of a count. Out: their order. ``benchmarks/active_learning.py``
measures what cells in this order teach a model, against cells at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def order_by_need(probabilities: Floats, traits: Floats, called: NDArray[np.bool_], most: int) -> list[int]:
    """Return the rows of the cells to call next, the most useful first.

    The next cell is the one whose doubt times its distance from every cell that was called or chosen is
    largest: farthest-first traversal (Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5) weighted by
    uncertainty. Doubt is one minus the margin between the two most probable classes (Scheffer et al. 2001,
    doi 10.1007/3-540-44816-0_31).

    Args:
        probabilities: (N, C) of the classes.
        traits: (N, K), what cells are alike by, such as probabilities, measurements or features.
        called: (N,), cells that a person has called.
        most: how many rows are wanted at most.
    """
    if not len(probabilities):
        return []
    top = np.sort(probabilities, axis=1)
    doubt = 1.0 - (top[:, -1] - top[:, -2])
    scaled = (traits - traits.mean(axis=0)) / (traits.std(axis=0) + 1e-9)
    nearest = np.full(len(scaled), np.inf)
    for known in np.flatnonzero(called).tolist():
        nearest = np.minimum(nearest, _measure(scaled, known))
    chosen: list[int] = []
    left = ~called
    for _ in range(min(most, int(left.sum()))):
        # Where nothing is called yet, doubt alone decides.
        value = doubt if not np.isfinite(nearest).any() else doubt * nearest
        row = int(np.argmax(np.where(left, value, -np.inf)))
        chosen.append(row)
        left[row] = False
        nearest = np.minimum(nearest, _measure(scaled, row))
    return chosen


def _measure(traits: Floats, row: int) -> Floats:
    return np.asarray(np.sqrt(((traits - traits[row]) ** 2).sum(axis=1)))
