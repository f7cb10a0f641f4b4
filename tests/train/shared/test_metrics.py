from __future__ import annotations

import numpy as np
import pytest

from erythron.errors import DataError
from erythron.train.shared.comparison import compare_calls
from erythron.train.shared.metrics import (
    brier_score,
    calibration_error,
    estimate,
    mcnemar,
    precision_recall,
    resample_groups,
    within_one_stage,
)
from erythron.train.shared.scores import count_stages, find_figures, score_calls


def make_calls(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    power = np.exp(rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[truth])
    return truth, power / power.sum(1, keepdims=True)


def test_figures_agree_with_scikit_learn_and_hand() -> None:
    from sklearn import metrics

    truth, probabilities = make_calls()
    called = probabilities.argmax(1)
    precision, recall = precision_recall(truth, called, 4)
    np.testing.assert_allclose(precision, metrics.precision_score(truth, called, average=None))
    np.testing.assert_allclose(recall, metrics.recall_score(truth, called, average=None))
    one_hot = np.eye(4)[truth]
    assert brier_score(truth, probabilities) == pytest.approx(((probabilities - one_hot) ** 2).sum() / 300)
    figures = find_figures(truth, probabilities, 4)
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert figures["quadratic_kappa"] == pytest.approx(
        metrics.cohen_kappa_score(truth, called, weights="quadratic")
    )


def test_within_one_stage_counts_neighbours_and_no_other_class() -> None:
    truth, called = np.array([0, 1, 2, 3, 0, 2, 4]), np.array([1, 1, 3, 0, 4, 5, 4])
    assert within_one_stage(truth, called, 4) == pytest.approx(3 / 6)
    assert np.isnan(within_one_stage(np.array([4]), np.array([4]), 4))


def test_perfect_confidence_has_no_calibration_error() -> None:
    assert calibration_error(np.ones(5), np.ones(5, bool)) == 0
    assert calibration_error(np.ones(4), np.array([True, False, False, False])) == pytest.approx(0.75)


def test_ordinal_figures_are_there_where_stages_are() -> None:
    truth, probabilities = make_calls()
    classes = ("proerythroblast", "basophilic_erythroblast", "basophil", "monocyte")
    assert count_stages(classes) == 2
    assert "quadratic_kappa" in find_figures(truth, probabilities, 2)
    assert "quadratic_kappa" not in find_figures(truth, probabilities, 0)


def test_groups_are_drawn_whole_and_widen_the_interval() -> None:
    groups = np.repeat([f"patient {i}" for i in range(30)], 10)
    rows = resample_groups(groups, 0)()
    counts = np.bincount(rows, minlength=300).reshape(30, 10)
    assert (counts == counts[:, :1]).all()
    right = np.repeat(np.arange(30) % 3 > 0, 10)

    def accuracy(index: np.ndarray) -> dict[str, float]:
        return {"accuracy": float(right[index].mean())}

    grouped = estimate(accuracy, groups, 0)["accuracy"]
    alone = estimate(accuracy, np.arange(300).astype(str), 0)["accuracy"]
    assert grouped.value == alone.value == pytest.approx(2 / 3, abs=1e-4)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)


def test_scores_hold_every_class_and_cell() -> None:
    truth, probabilities = make_calls()
    truth[truth == 3] = 2
    scores = score_calls(truth, probabilities, ("a", "b", "c", "d"), np.arange(300).astype(str))
    assert np.sum(scores.confusion) == scores.cells == scores.groups == 300
    assert scores.classes[3].recall is None
    for figure in scores.figures.values():
        assert figure.low <= figure.value <= figure.high


def test_mcnemar_is_the_binomial_test_on_discordant_cells() -> None:
    a = np.array([True] * 7 + [False] * 2 + [True] * 20)
    b = np.array([False] * 7 + [True] * 2 + [True] * 20)
    assert mcnemar(a, b) == pytest.approx(2 * (1 + 9 + 36) / 2**9)
    assert mcnemar(a, a) == 1.0


def test_comparison_of_a_model_with_itself_and_with_chance() -> None:
    truth, probabilities = make_calls()
    groups = np.arange(300).astype(str)
    same = compare_calls(truth, probabilities, probabilities, groups)
    assert (same.accuracy.low, same.accuracy.value, same.accuracy.high, same.mcnemar_p) == (0, 0, 0, 1)
    worse = compare_calls(truth, probabilities, np.roll(probabilities, 1, axis=1), groups)
    assert worse.accuracy.low > 0.2
    assert worse.mcnemar_p < 1e-6
    assert worse.only_first > worse.only_second
    with pytest.raises(DataError, match="differ in cells or classes"):
        compare_calls(truth, probabilities, probabilities[:, :3], groups)
