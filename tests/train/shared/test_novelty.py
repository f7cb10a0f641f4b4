from __future__ import annotations

import numpy as np
import torch

from erythron.train.shared.novelty import LEAST_LIMIT, Novelty, NoveltyLayer, fit_novelty, set_limits


def draw() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 4], 60)
    features = rng.normal(size=(180, 80)) * np.r_[np.ones(20), np.full(60, 0.05)]
    features[:, :2] += np.array([[4, 0], [-4, 0], [0, 5], [0, 0], [0, 5]])[labels]
    return features, labels


def fit() -> tuple[Novelty, np.ndarray]:
    features, labels = draw()
    fitted = fit_novelty(features, labels)
    return set_limits(fitted, fitted.distances(features)), features


def test_training_cells_are_known_and_strange_ones_are_not() -> None:
    fitted, features = fit()
    assert np.mean(fitted.distances(features).max(axis=1) > 1) <= 0.03
    far_from_every_class = np.zeros((1, 80))
    far_from_every_class[0, 5] = 9
    out_of_the_space = np.zeros((1, 80))
    out_of_the_space[0, 60] = 9
    assert fitted.distances(far_from_every_class)[0, 0] > 1
    assert fitted.distances(out_of_the_space)[0].max() > 1


def test_the_layer_says_the_same_as_the_formula() -> None:
    fitted, features = fit()
    layer = NoveltyLayer(fitted)(torch.from_numpy(features.astype(np.float32)))
    np.testing.assert_allclose(layer.numpy(), fitted.distances(features).max(axis=1), rtol=1e-3)


def test_limits_come_from_cells_not_trained_on_and_never_vanish() -> None:
    """A network of fewer features than directions leaves no outer distance: rounding must not become one."""
    features, labels = draw()
    few = features[:, :10]
    fitted = fit_novelty(few, labels)
    limited = set_limits(fitted, fitted.distances(few))
    assert limited.limits[1] == LEAST_LIMIT
    layer = NoveltyLayer(limited)(torch.from_numpy(few.astype(np.float32)))
    assert np.mean(layer.numpy() > 1) <= 0.03
