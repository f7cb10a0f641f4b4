"""Two models on the same cells: paired differences with intervals, and McNemar's test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.compare.bootstrap import limit_mean
from erythron.errors import DataError
from erythron.train.shared.intervals import compare_right, estimate
from erythron.train.shared.metrics import Floats, Ints, macro_f1


@dataclass(frozen=True)
class Comparison:
    """First model minus second.

    Attributes:
        accuracy: difference, with the interval of a paired bootstrap over groups.
        macro_f1: alike.
        mcnemar_p: exact two-sided p-value.
        only_first: cells that the first alone has right.
        only_second: cells that the second alone has right.
    """

    accuracy: Estimate
    macro_f1: Estimate
    mcnemar_p: float
    only_first: int
    only_second: int


def compare_calls(
    truth: Ints, first: Floats, second: Floats, groups: NDArray[np.str_], seed: int = 0
) -> Comparison:
    """Compare two models on the same cells.

    Args:
        truth: (N,) true class.
        first: (N, C) probabilities.
        second: (N, C) probabilities of the same cells.
        groups: (N,) what is drawn as one.
        seed: of the bootstrap.

    Raises:
        DataError: the models did not see the same cells or classes.
    """
    if first.shape != second.shape or len(truth) != len(first):
        raise DataError(f"the models differ in cells or classes: {first.shape} and {second.shape}")
    classes = first.shape[1]
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    right_a, right_b = a == truth, b == truth

    def differences(index: Ints) -> dict[str, float]:
        return {
            "accuracy": float(right_a[index].mean() - right_b[index].mean()),
            "macro_f1": macro_f1(truth[index], a[index], classes) - macro_f1(truth[index], b[index], classes),
        }

    found = estimate(differences, groups, seed, limit=limit_mean)
    return Comparison(
        found["accuracy"],
        found["macro_f1"],
        compare_right(right_a, right_b),
        int((right_a & ~right_b).sum()),
        int((right_b & ~right_a).sum()),
    )
