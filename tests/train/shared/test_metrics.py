from __future__ import annotations

import numpy as np
import pytest

from erythron.train.shared.metrics import (
    area_under_curve,
    brier_score,
    calibration_error,
    confusion,
    macro_f1,
    precision_recall,
    quadratic_kappa,
)


def make_calls(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    power = np.exp(rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[truth])
    return truth, power / power.sum(1, keepdims=True)


def test_figures_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    truth, probabilities = make_calls()
    called = probabilities.argmax(1)
    precision, recall = precision_recall(truth, called, 4)
    np.testing.assert_allclose(precision, metrics.precision_score(truth, called, average=None))
    np.testing.assert_allclose(recall, metrics.recall_score(truth, called, average=None))
    one_hot = np.eye(4)[truth]
    assert brier_score(truth, probabilities) == pytest.approx(((probabilities - one_hot) ** 2).sum() / 300)
    assert macro_f1(truth, called, 4) == pytest.approx(metrics.f1_score(truth, called, average="macro"))
    assert quadratic_kappa(truth, called, 4) == pytest.approx(
        metrics.cohen_kappa_score(truth, called, weights="quadratic")
    )
    assert np.array_equal(confusion(truth, called, 4, 4), metrics.confusion_matrix(truth, called))
    score = np.random.default_rng(0).integers(0, 9, 300) / 9
    assert area_under_curve(truth > 1, score) == pytest.approx(metrics.roc_auc_score(truth > 1, score))


def test_one_side_alone_has_no_area_under_the_curve() -> None:
    assert np.isnan(area_under_curve(np.ones(3, bool), np.arange(3.0)))


def test_perfect_confidence_has_no_calibration_error() -> None:
    assert calibration_error(np.ones(5), np.ones(5, bool)) == 0
    assert calibration_error(np.ones(4), np.array([True, False, False, False])) == pytest.approx(0.75)
