"""The order in which a reader should call cells: doubt first, and no two alike in a row."""

from __future__ import annotations

import numpy as np

from erythron.review.queue import order_by_need, rate_doubt

CLEAR, UNSURE = [0.98, 0.01, 0.01], [0.5, 0.45, 0.05]


def test_the_cell_in_doubt_comes_before_the_clear_one() -> None:
    traits = np.array([[0.0], [1.0], [2.0]])
    assert order_by_need(np.array([CLEAR, UNSURE, CLEAR]), traits, np.zeros(3, bool), 1) == [1]


def test_of_cells_in_like_doubt_the_one_unlike_those_called_comes_next() -> None:
    traits = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
    called = np.array([True, False, False, False])
    order = order_by_need(np.array([UNSURE] * 4), traits, called, 3)
    assert order == [3, 2, 1] or order == [3, 1, 2]
    assert order[0] == 3


def test_called_cells_are_never_asked_for_and_no_cell_twice() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 30)
    called = np.zeros(30, bool)
    called[:12] = True
    order = order_by_need(probabilities, rng.normal(size=(30, 3)), called, 100)
    assert sorted(order) == list(range(12, 30))


def test_equal_cells_do_not_stop_it() -> None:
    assert len(order_by_need(np.array([UNSURE] * 5), np.ones((5, 2)), np.zeros(5, bool), 5)) == 5
    assert order_by_need(np.zeros((0, 3)), np.zeros((0, 2)), np.zeros(0, bool), 5) == []


def test_only_candidates_are_chosen_and_all_called_cells_are_known() -> None:
    rng = np.random.default_rng(1)
    probabilities, traits = rng.dirichlet(np.ones(4), 2000), rng.normal(size=(2000, 3))
    called, candidates = rng.random(2000) < 0.6, rng.random(2000) < 0.5
    order = order_by_need(probabilities, traits, called, 5, candidates)
    allowed = np.flatnonzero(candidates & ~called)
    scaled = (traits - traits.mean(axis=0)) / (traits.std(axis=0) + 1e-9)
    far = [np.sqrt(((scaled[called] - scaled[row]) ** 2).sum(axis=1)).min() for row in allowed]
    assert order[0] == allowed[np.argmax(rate_doubt(probabilities[allowed]) * far)]
    assert set(order) <= set(allowed)


def test_a_call_among_one_class_is_sure() -> None:
    assert rate_doubt(np.array([[1.0], [1.0]])).tolist() == [0.0, 0.0]
    assert rate_doubt(np.array([CLEAR, UNSURE])).round(2).tolist() == [0.03, 0.95]
