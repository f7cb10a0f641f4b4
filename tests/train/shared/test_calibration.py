from __future__ import annotations

import numpy as np
import pytest

from erythron.train.shared.calibration import (
    HeldOut,
    calibrate,
    choose_threshold,
    confident_confusion,
    fit_temperature,
)

ERYTHROID = np.array([True, True, True, True, False, False])


def make_calls(sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, logits and probabilities of 300 cells of six classes."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 6, 300)
    logits = (rng.normal(size=(300, 6)) + 2 * np.eye(6)[truth]) * sharpness
    power = np.exp(logits)
    return truth, logits, power / power.sum(1, keepdims=True)


def test_the_temperature_undoes_overconfidence() -> None:
    truth, logits, _ = make_calls()
    fitted = fit_temperature(logits, truth)
    assert fit_temperature(logits * 3, truth) == pytest.approx(3 * fitted, rel=1e-2)


def test_the_threshold_keeps_its_risk_and_no_confusion_of_other_classes_counts() -> None:
    truth, _, probabilities = make_calls()
    threshold = choose_threshold(truth, probabilities, ERYTHROID, 0.1)
    kept = probabilities.max(1) >= threshold
    wrong = np.minimum(probabilities.argmax(1), 4) != np.minimum(truth, 4)
    assert 0 < kept.sum() < 300
    assert wrong[kept].mean() <= 0.1


def test_without_an_erythroid_class_every_confusion_counts() -> None:
    truth, _, probabilities = make_calls()
    threshold = choose_threshold(truth, probabilities, np.zeros(6, bool), 0.1)
    kept = probabilities.max(1) >= threshold
    assert 0 < kept.sum() < 300
    assert (probabilities.argmax(1) != truth)[kept].mean() <= 0.1


def test_no_threshold_is_low_enough_where_the_surest_call_is_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert choose_threshold(np.array([1, 0]), probabilities, np.array([True, False]), 0.05) == 1.0


def test_calls_under_the_threshold_stand_in_a_column_of_their_own() -> None:
    truth, probabilities = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8]])
    assert confident_confusion(truth, probabilities, 0.6).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert confident_confusion(truth, probabilities, 0.0).sum(axis=0).tolist() == [1, 2, 0]


def test_a_calibration_says_what_it_was_chosen_on() -> None:
    truth, logits, _ = make_calls(3.0)
    found = calibrate(HeldOut(logits, truth, "validation part"), ERYTHROID, 0.1)
    assert found.temperature > 1.2
    assert found.cells == "validation part"
    assert (
        "at most 10 % of calls are wrong with a certainty of 95 %, classes that are not erythroid"
        in found.rule
    )
    bare = calibrate(HeldOut(logits, truth, "validation part"), np.zeros(6, bool), 0.1)
    assert "erythroid" not in bare.rule
