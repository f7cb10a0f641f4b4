"""From logits to probabilities that hold, and the confidence under which a call is none.

Both are chosen on cells that the network was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.classify.classifier import soften
from erythron.compare.bootstrap import choose_confidence
from erythron.quality.flags import in_percent
from erythron.train.shared.metrics import Floats, Ints, confusion


@dataclass(frozen=True)
class Calibration:
    """What was chosen on cells that were not trained on.

    Attributes:
        temperature: that logits are divided by.
        threshold: confidence under which a call is unclassified.
        rule: how the threshold was chosen, in words.
        cells: which cells these were, in words.
    """

    temperature: float
    threshold: float
    rule: str
    cells: str


@dataclass(frozen=True)
class HeldOut:
    """N cells that the network was not trained on.

    Attributes:
        logits: (N, C).
        truth: (N,) index of the true class.
        name: what these cells are, in words, as the card says it.
    """

    logits: Floats
    truth: Ints
    name: str


def calibrate(held: HeldOut, is_erythroid: NDArray[np.bool_], risk: float) -> Calibration:
    """Choose temperature and threshold on cells that were not trained on.

    Args:
        held: these cells.
        is_erythroid: (C,) whether a class is erythroid.
        risk: share of wrong calls that is accepted at or above the threshold.
    """
    temperature = fit_temperature(held.logits, held.truth)
    probabilities = soften(held.logits, temperature)
    threshold = round(choose_threshold(held.truth, probabilities, is_erythroid, risk), 4)
    merged = ", classes that are not erythroid counted as one" if is_erythroid.any() else ""
    calls = f"at most {in_percent(risk)} of calls are wrong with a certainty of 95 %{merged}"
    rule = f"least confidence at or above which {calls}, by the {held.name}"
    return Calibration(temperature, threshold, rule, held.name)


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


def choose_threshold(
    truth: Ints, probabilities: Floats, is_erythroid: NDArray[np.bool_], risk: float
) -> float:
    """Return the least confidence at or above which at most ``risk`` of the calls are wrong.

    It holds with a certainty of 95 % (:func:`erythron.compare.bootstrap.choose_confidence`). A call of one
    class that is not erythroid for another is not wrong here; where no class is erythroid, it is.

    Args:
        truth: (N,) index of the true class.
        probabilities: (N, C).
        is_erythroid: (C,).
        risk: share of wrong calls.

    Returns:
        A confidence in 0..1; 1.0 where no confidence reaches that.
    """
    merged = np.arange(len(is_erythroid))
    if is_erythroid.any():
        merged[~is_erythroid] = len(merged)
    confidence = probabilities.max(axis=1)
    wrong = merged[probabilities.argmax(axis=1)] != merged[truth]
    return choose_confidence(confidence, wrong, risk)


def confident_confusion(truth: Ints, probabilities: Floats, threshold: float) -> Ints:
    """Return the confusion matrix (C, C + 1) with the calls under a confidence in a last column."""
    classes = probabilities.shape[1]
    called = probabilities.argmax(axis=1)
    called[probabilities.max(axis=1) < threshold] = classes
    return confusion(truth, called, classes, classes + 1)
