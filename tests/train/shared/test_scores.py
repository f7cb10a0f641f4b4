from __future__ import annotations

import numpy as np
import pytest

from erythron.cells.classes import DEFAULT_CLASSES, Lineage
from erythron.train.shared.scores import count_stages, find_figures, find_lineage, mark_erythroid, score_calls

STAGES = (
    "proerythroblast",
    "basophilic_erythroblast",
    "polychromatic_erythroblast",
    "orthochromatic_erythroblast",
)


def make_calls(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    power = np.exp(rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[truth])
    return truth, power / power.sum(1, keepdims=True)


def test_figures_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    truth, probabilities = make_calls()
    figures = find_figures(truth, probabilities, STAGES)
    called = probabilities.argmax(1)
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    kappa = metrics.cohen_kappa_score(truth, called, weights="quadratic")
    assert figures["stage_quadratic_kappa"] == pytest.approx(kappa)
    assert figures["stage_macro_f1"] == pytest.approx(metrics.f1_score(truth, called, average="macro"))


def test_figures_are_there_where_their_classes_are() -> None:
    truth, probabilities = make_calls()
    two_stages = ("proerythroblast", "basophilic_erythroblast", "basophil", "monocyte")
    assert count_stages(two_stages) == 2
    figures = find_figures(truth, probabilities, two_stages)
    assert {"stage_accuracy", "erythroid_auc"} <= set(figures)
    assert "five_way_accuracy" not in figures
    none = find_figures(truth, probabilities, ("basophil", "eosinophil", "monocyte", "plasma_cell"))
    assert set(none) == {"accuracy", "macro_f1", "brier", "calibration_error"}
    assert "erythroid_auc" not in find_figures(truth, probabilities, STAGES)


def test_perfect_calls_score_one() -> None:
    classes = (*STAGES, "granulocyte", "lymphocyte")
    truth = np.arange(6).repeat(5)
    figures = find_figures(truth, np.eye(6)[truth], classes)
    assert figures.pop("calibration_error") == figures.pop("brier") == 0
    assert set(figures.values()) == {1.0}
    assert {"five_way_macro_f1", "stage_within_one", "erythroid_auc"} <= set(figures)


def test_an_erythroblast_of_unknown_stage_is_erythroid_and_no_stage() -> None:
    assert find_lineage("erythroblast") is Lineage.ERYTHROID
    assert find_lineage("white_cell") is find_lineage("a name of one's own") is Lineage.OTHER
    assert mark_erythroid(("erythroblast", "monocyte")).tolist() == [True, False]
    assert mark_erythroid([c.name for c in DEFAULT_CLASSES]).sum() == 4


def test_scores_hold_every_class_and_cell() -> None:
    truth, probabilities = make_calls()
    truth[truth == 3] = 2
    scores = score_calls(truth, probabilities, STAGES, np.arange(300).astype(str))
    assert np.sum(scores.confusion) == scores.cells == scores.groups == 300
    assert scores.classes[3].recall is None
    for figure in scores.figures.values():
        assert figure.low <= figure.value <= figure.high
