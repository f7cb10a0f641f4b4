"""Figures of calls against truth, each a function of arrays, and their intervals from resampled groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from erythron.bundle.schema import Estimate

BOOTSTRAPS = 1000
ECE_BINS = 10

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(truth: Ints, called: Ints, rows: int, columns: int) -> Ints:
    """Return how often each true class (row) was called each class (column)."""
    table = np.zeros((rows, columns), np.int64)
    np.add.at(table, (truth, called), 1)
    return table


def macro_f1(truth: Ints, called: Ints, classes: int) -> float:
    """Return the mean over classes of ``2 TP / (2 TP + FP + FN)``."""
    table = confusion(truth, called, classes, classes)
    return float(np.mean(2 * table.diagonal() / np.maximum(table.sum(0) + table.sum(1), 1)))


def quadratic_kappa(truth: Ints, called: Ints, classes: int) -> float:
    """Return Cohen's kappa with quadratic weights (Cohen 1968, doi 10.1037/h0026256)."""
    table = confusion(truth, called, classes, classes)
    weight = (np.arange(classes)[:, None] - np.arange(classes)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / max(table.sum(), 1)
    return float(1 - (weight * table).sum() / max((weight * chance).sum(), 1e-12))


def area_under_curve(positive: NDArray[np.bool_], score: Floats) -> float:
    """Return the probability that a positive scores above a negative, ties counting half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((rank[positive].sum() - n * (n + 1) / 2) / max(n * (len(score) - n), 1))


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Return the mean distance of confidence and accuracy over ten bins, weighted by their cells.

    Source: Guo et al. 2017, arXiv 1706.04599.
    """
    of = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(of, confidence - right, ECE_BINS)
    return float(np.abs(gap).sum() / max(len(confidence), 1))


def brier_score(truth: Ints, probabilities: Floats) -> float:
    """Return the mean over cells of the squared distance to the one-hot truth, 0 to 2 (Brier 1950)."""
    wanted = np.zeros_like(probabilities)
    wanted[np.arange(len(truth)), truth] = 1
    return float(((probabilities - wanted) ** 2).sum(axis=1).mean())


def precision_recall(truth: Ints, called: Ints, classes: int) -> tuple[Floats, Floats]:
    """Return precision and recall of each class, (C,) each; nan where nothing was called, or is, of it."""
    table = confusion(truth, called, classes, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return table.diagonal() / table.sum(0), table.diagonal() / table.sum(1)


def within_one_stage(truth: Ints, called: Ints, stages: int) -> float:
    """Return the share of staged cells that are called their own or a neighbouring stage.

    Classes below ``stages`` are the stages in order of maturation; a staged cell called no stage is wrong.
    """
    staged = truth < stages
    near = (called[staged] < stages) & (np.abs(called[staged] - truth[staged]) <= 1)
    return float(near.mean()) if staged.any() else float("nan")


def resample_groups(groups: NDArray[np.str_], seed: int) -> Callable[[], Ints]:
    """Return a function that draws groups with replacement and returns the rows of what it drew.

    Cells of one group (patient, smear, overlapping crops) are not independent, so whole groups are drawn.

    Args:
        groups: (N,) group of each row.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    _, group_of = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])

    def draw() -> Ints:
        return np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])

    return draw


def estimate(
    figures: Callable[[Ints], dict[str, float] | None], groups: NDArray[np.str_], seed: int
) -> dict[str, Estimate]:
    """Return figures with 95 % percentile intervals from ``BOOTSTRAPS`` resamples of groups.

    Args:
        figures: of the rows of a resample; None where the resample has none, which then is drawn anew.
        groups: (N,) group of each row.
        seed: of the draws.

    Raises:
        ValueError: all rows together have no figures.
    """
    value = figures(np.arange(len(groups)))
    if value is None:
        raise ValueError("these cells have no figures")
    draw = resample_groups(groups, seed)
    drawn: list[dict[str, float]] = []
    while len(drawn) < BOOTSTRAPS:
        sample = figures(draw())
        if sample is not None:
            drawn.append(sample)
    out = {}
    for name, v in value.items():
        low, high = np.nanpercentile([d[name] for d in drawn], [2.5, 97.5])
        out[name] = Estimate(value=round(v, 4), low=round(float(low), 4), high=round(float(high), 4))
    return out


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value that two models are equally often right on the same cells.

    Binomial on the cells that one of them alone has right (McNemar 1947, doi 10.1007/BF02295996).
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)
