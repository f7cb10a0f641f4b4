"""Which cells a reader should call next: those in doubt, and no two that are alike.

In: probabilities and traits of the cells of a count. Out: their order. ``benchmarks/active_learning.py``
measures what cells in this order teach a model, against cells at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]


_AT_ONCE = 512
"""Called cells whose distances are in memory at once."""


def order_by_need(
    probabilities: Floats,
    traits: Floats,
    called: NDArray[np.bool_],
    most: int,
    candidates: NDArray[np.bool_] | None = None,
) -> list[int]:
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
        candidates: (N,), cells of which those are chosen that nobody has called; None for all.
    """
    rows = np.flatnonzero(~called if candidates is None else candidates & ~called)
    if not len(rows):
        return []
    doubt = rate_doubt(probabilities[rows])
    scaled = (traits - traits.mean(axis=0)) / (traits.std(axis=0) + 1e-9)
    own, known = scaled[rows], scaled[called]
    nearest = np.full(len(rows), np.inf)
    for first in range(0, len(known), _AT_ONCE):
        nearest = np.minimum(nearest, cdist(own, known[first : first + _AT_ONCE]).min(axis=1))
    chosen: list[int] = []
    left = np.ones(len(rows), np.bool_)
    for _ in range(min(most, len(rows))):
        # Where nothing is called yet, doubt alone decides.
        value = doubt if not np.isfinite(nearest).any() else doubt * nearest
        place = int(np.argmax(np.where(left, value, -np.inf)))
        chosen.append(int(rows[place]))
        left[place] = False
        nearest = np.minimum(nearest, np.sqrt(((own - own[place]) ** 2).sum(axis=1)))
    return chosen


def rate_doubt(probabilities: Floats) -> Floats:
    """Return how doubtful each call is: 1 less the lead of its most probable class, 0 sure to 1.

    Args:
        probabilities: (N, C) of the classes.

    Returns:
        (N,).
    """
    top = np.sort(probabilities, axis=1)
    second = top[:, -2] if top.shape[1] > 1 else np.zeros(len(top))
    return np.asarray(1.0 - (top[:, -1] - second))
