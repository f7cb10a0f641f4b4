"""What corrected figures are made from, what is asked of them, and the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from erythron.cells.classes import Lineage
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import Estimate
from erythron.differential.detection import Detection

Floats = NDArray[np.float64]


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
        counts: (F, J) int64, cells of each call that the confusion matrix has, in its order, without the
            unclassified ones.
        unclassified: (F,) int64, cells under the stated confidence.
        unclassified_as: (F, K) float64, sums of the probabilities of those cells by true class, in the order
            of the rows of the confusion matrix; a row adds up to the field's ``unclassified``.
        confirmed: (F, J) int64, cells among ``counts`` that a person has called, of which the model's errors
            say nothing; J is then K, in one order. None where there are none.
    """

    counts: NDArray[np.int64]
    unclassified: NDArray[np.int64]
    unclassified_as: Floats
    confirmed: NDArray[np.int64] | None = None

    @property
    def confirmed_part(self) -> Floats:
        """(J,) the part of each call's cells that a person has called; of a call without cells, of all."""
        called = self.counts.sum(axis=0)
        if self.confirmed is None or not called.sum():
            return np.zeros(len(called))
        sure = self.confirmed.sum(axis=0)
        return np.asarray(np.where(called > 0, sure / np.maximum(called, 1), sure.sum() / called.sum()))


@dataclass(frozen=True)
class Knowledge:
    """What is known of a model beforehand.

    Attributes:
        confusion: of the model that called the cells.
        lineages: of the rows of the confusion matrix, in order.
        detection: how often cells are found; None where nothing is known, and no cell is taken to be missed.
    """

    confusion: ConfusionMatrix
    lineages: tuple[Lineage, ...]
    detection: Detection | None = None


@dataclass(frozen=True)
class Corrected:
    """The answers to several contrasts.

    Attributes:
        estimates: one a contrast, in order.
        unexplained: share of all cells that is unclassified beyond what the mix leads to expect; 0 where that
            is not clear, or where the confusion matrix does not say what to expect.
        overdispersion: variance of the calls between fields over that of chance; 1 with one field.
    """

    estimates: tuple[Estimate, ...]
    unexplained: float
    overdispersion: float
