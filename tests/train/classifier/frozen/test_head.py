from __future__ import annotations

import numpy as np
import torch

from erythron.train.classifier.frozen.head import Examples, fit_head, partial_label_loss
from erythron.train.recipe import HeadSettings


def test_a_full_label_costs_its_log_probability_and_an_open_one_the_sum() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]])
    allowed = torch.tensor([[True, False, False], [True, True, False]])
    p = torch.softmax(logits[0], 0)
    expected = torch.stack([-p[0].log(), -(p[0] + p[1]).log()])
    torch.testing.assert_close(partial_label_loss(logits, allowed), expected)


def test_the_head_separates_classes_and_open_labels_teach_the_lineage() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [4, 0], [0, 6]], float)
    truth = np.repeat([0, 1, 2], 60)
    features = (centres[truth] + rng.normal(size=(180, 2))).astype(np.float32)
    allowed = np.eye(3, dtype=bool)[truth]
    # Most of classes 0 and 1 are only known not to be class 2.
    allowed[10:60, 1] = allowed[70:120, 0] = True
    head = fit_head(Examples(features, allowed, np.ones(180)), HeadSettings(l2=1e-3))
    called = head.logits(features).argmax(axis=1)
    assert np.mean((called == 2) == (truth == 2)) > 0.97
    assert np.mean(called == truth) > 0.9


def test_fitting_twice_gives_the_same_head() -> None:
    rng = np.random.default_rng(1)
    examples = Examples(
        rng.normal(size=(50, 4)).astype(np.float32),
        np.eye(2, dtype=bool)[rng.integers(0, 2, 50)],
        np.ones(50),
    )
    settings = HeadSettings(l2=1e-3)
    assert np.array_equal(fit_head(examples, settings).weight, fit_head(examples, settings).weight)
