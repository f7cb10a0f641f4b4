"""Figures of staged marrow cells with 95 % intervals by a bootstrap over groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.train.metrics import (
    Floats,
    Ints,
    area_under_curve,
    calibration_error,
    confusion,
    estimate,
    macro_f1,
    quadratic_kappa,
)

STAGES = 4
NOT_ERYTHROID = 4


@dataclass(frozen=True)
class Scored:
    """N cells with truth and calls; the first four classes are the stages.

    Attributes:
        truth: (N,) int64, index of the true class.
        probabilities: (N, C) float64.
    """

    truth: Ints
    probabilities: Floats

    def take(self, index: Ints) -> Scored:
        """Return the cells of the given rows, repeats allowed."""
        return Scored(self.truth[index], self.probabilities[index])


def score_cells(scored: Scored) -> dict[str, float]:
    """Return the figures of staged cells.

    Stage figures look at the erythroid cells alone and at the most probable of the four stages; five-way
    figures at all cells, the classes that are not erythroid being one; ``ece`` is the expected calibration
    error of the confidence in ten bins of equal width (Guo et al. 2017, arXiv 1706.04599).
    """
    truth = np.minimum(scored.truth, NOT_ERYTHROID)
    called = np.minimum(scored.probabilities.argmax(axis=1), NOT_ERYTHROID)
    erythroid = truth < STAGES
    stage_truth = truth[erythroid]
    stage = scored.probabilities[erythroid, :STAGES].argmax(axis=1)
    right = scored.probabilities.argmax(axis=1) == scored.truth
    return {
        "stage_accuracy": float(np.mean(stage == stage_truth)),
        "stage_macro_f1": macro_f1(stage_truth, stage, STAGES),
        "stage_within_one": float(np.mean(np.abs(stage - stage_truth) <= 1)),
        "stage_quadratic_kappa": quadratic_kappa(stage_truth, stage, STAGES),
        "five_way_accuracy": float(np.mean(called == truth)),
        "five_way_macro_f1": macro_f1(truth, called, STAGES + 1),
        "erythroid_auc": area_under_curve(erythroid, scored.probabilities[:, :STAGES].sum(axis=1)),
        "ece": calibration_error(scored.probabilities.max(axis=1), right),
    }


def estimate_figures(scored: Scored, groups: NDArray[np.str_], seed: int) -> dict[str, Estimate]:
    """Return every figure of :func:`score_cells` with its percentile interval from resampled groups."""

    def figures(index: Ints) -> dict[str, float] | None:
        sample = scored.take(index)
        # A resample without one side has no figure for telling the sides apart.
        return score_cells(sample) if len(np.unique(sample.truth < STAGES)) == 2 else None

    return estimate(figures, groups, seed)


def confident_confusion(scored: Scored, threshold: float) -> Ints:
    """Return the confusion matrix (C, C + 1) with the calls under a confidence in a last column."""
    classes = scored.probabilities.shape[1]
    called = scored.probabilities.argmax(axis=1)
    called[scored.probabilities.max(axis=1) < threshold] = classes
    return confusion(scored.truth, called, classes, classes + 1)


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """Return the temperature of least log loss, by golden section on its logarithm between 1/8 and 8."""

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(np.mean(log_sum - scaled[np.arange(len(truth)), truth]))

    low, high = -np.log(8.0), np.log(8.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    while high - low > 1e-4:
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))


def choose_threshold(scored: Scored, risk: float) -> float:
    """Return the least confidence at or above which at most ``risk`` of the five-way calls are wrong.

    1.0 where no confidence reaches that.
    """
    confidence = scored.probabilities.max(axis=1)
    called = np.minimum(scored.probabilities.argmax(axis=1), NOT_ERYTHROID)
    wrong = called != np.minimum(scored.truth, NOT_ERYTHROID)
    order = np.argsort(-confidence, kind="stable")
    rate = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    kept = np.flatnonzero(rate <= risk)
    return float(confidence[order[kept[-1]]]) if len(kept) else 1.0
