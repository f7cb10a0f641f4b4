"""Figures of calls against truth, each a function of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    """Return the probability that a positive scores above a negative, ties counting half.

    It is nan without both.
    """
    if positive.all() or not positive.any():
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


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
