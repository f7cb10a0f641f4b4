"""Figures of a model as the card stores them: with 95 % limits from resampled cross-validation groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.compare.agreement import mcnemar
from erythron.compare.bootstrap import Limit, Limits, limit_figures
from erythron.train.shared.metrics import Ints


def estimate(
    figures: Callable[[Ints], dict[str, float]],
    groups: NDArray[np.str_],
    seed: int,
    rows_of: Mapping[str, NDArray[np.bool_]] | None = None,
    limit: Limit | None = None,
) -> dict[str, Estimate]:
    """Return what :func:`erythron.compare.bootstrap.limit_figures` does, with four decimals."""
    found = limit_figures(figures, groups, seed, rows_of, limit)
    return {name: round_limits(limits) for name, limits in found.items()}


def round_limits(limits: Limits) -> Estimate:
    """Return limits with four decimals, as a card stores them."""
    return Estimate(**{name: round(value, 4) for name, value in vars(limits).items()})


def compare_right(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> float:
    """Return McNemar's exact two-sided p-value that two models are equally often right on the same cells."""
    return mcnemar(int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()))
