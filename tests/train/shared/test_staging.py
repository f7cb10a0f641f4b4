from __future__ import annotations

import numpy as np
import pytest
from erythron.train.shared.staging import (
    Scored,
    choose_threshold,
    confident_confusion,
    estimate_figures,
    fit_temperature,
    score_cells,
)

from erythron.train.shared.metrics import area_under_curve, confusion, macro_f1, quadratic_kappa


def test_figures_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    truth, called, score = rng.integers(0, 4, 200), rng.integers(0, 4, 200), rng.integers(0, 9, 200) / 9
    assert macro_f1(truth, called, 4) == pytest.approx(metrics.f1_score(truth, called, average="macro"))
    assert quadratic_kappa(truth, called, 4) == pytest.approx(
        metrics.cohen_kappa_score(truth, called, weights="quadratic")
    )
    assert area_under_curve(truth > 1, score) == pytest.approx(metrics.roc_auc_score(truth > 1, score))
    assert np.array_equal(confusion(truth, called, 4, 4), metrics.confusion_matrix(truth, called))


def make_scored(sharpness: float) -> tuple[Scored, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 6, 300)
    logits = rng.normal(size=(300, 6)) + 2 * np.eye(6)[truth]
    power = np.exp(logits * sharpness)
    return Scored(truth, power / power.sum(1, keepdims=True)), logits * sharpness


def test_perfect_calls_score_one() -> None:
    truth = np.arange(6).repeat(5)
    figures = score_cells(Scored(truth, np.eye(6)[truth]))
    assert figures.pop("ece") == 0
    assert set(figures.values()) == {1.0}


def test_intervals_hold_the_value_and_widen_with_groups() -> None:
    scored, _ = make_scored(1.0)
    single = estimate_figures(scored, np.arange(300).astype(str), 0)
    grouped = estimate_figures(scored, (np.arange(300) // 30).astype(str), 0)
    for figure in single.values():
        assert figure.low <= figure.high
    assert (
        single["five_way_accuracy"].low < single["five_way_accuracy"].value < single["five_way_accuracy"].high
    )
    assert grouped == estimate_figures(scored, (np.arange(300) // 30).astype(str), 0)


def test_the_temperature_undoes_overconfidence() -> None:
    scored, logits = make_scored(1.0)
    fitted = fit_temperature(logits, scored.truth)
    assert fit_temperature(logits * 3, scored.truth) == pytest.approx(3 * fitted, rel=1e-2)


def test_the_threshold_keeps_its_risk() -> None:
    scored, _ = make_scored(1.0)
    threshold = choose_threshold(scored, 0.1)
    kept = scored.probabilities.max(1) >= threshold
    wrong = np.minimum(scored.probabilities.argmax(1), 4) != np.minimum(scored.truth, 4)
    assert 0 < kept.sum() < 300
    assert wrong[kept].mean() <= 0.1


def test_calls_under_the_threshold_stand_in_a_column_of_their_own() -> None:
    scored = Scored(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8]]))
    assert confident_confusion(scored, 0.6).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert confident_confusion(scored, 0.0).sum(axis=0).tolist() == [1, 2, 0]
