from __future__ import annotations

import numpy as np
import torch

from erythron.train.classifier.frozen.head import (
    Examples,
    find_lineage_classes,
    fit_head,
    partial_label_loss,
)
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
    head = fit_head(Examples(features, allowed, np.ones(180), np.ones(180)), HeadSettings(l2=1e-3))
    called = head.logits(features).argmax(axis=1)
    assert np.mean((called == 2) == (truth == 2)) > 0.97
    assert np.mean(called == truth) > 0.9


def test_fitting_twice_gives_the_same_head() -> None:
    rng = np.random.default_rng(1)
    examples = Examples(
        rng.normal(size=(50, 4)).astype(np.float32),
        np.eye(2, dtype=bool)[rng.integers(0, 2, 50)],
        np.ones(50),
        np.ones(50),
    )
    settings = HeadSettings(l2=1e-3)
    assert np.array_equal(fit_head(examples, settings).weight, fit_head(examples, settings).weight)


def test_the_classes_of_a_lineage_are_the_stages_or_all_others() -> None:
    allowed = np.zeros((3, 6), bool)
    allowed[0, 1] = allowed[1, 5] = allowed[2, 1] = allowed[2, 5] = True
    assert find_lineage_classes(allowed).tolist() == [
        [True] * 4 + [False] * 2,
        [False] * 4 + [True] * 2,
        [True] * 6,
    ]


def test_a_set_of_one_lineage_teaches_its_kinds_and_not_that_its_stain_is_a_sign_of_none() -> None:
    """One laboratory has both lineages, another only cells of classes 4 and 5 and a colour of its own."""
    rng = np.random.default_rng(2)
    places = np.zeros((6, 3))
    places[0], places[4], places[5] = (2, 0, 0), (0, 0, 0), (0, 3, 0)
    mixed, alone = np.repeat([0, 4], 40), np.repeat([4, 5], 40)
    noise = rng.normal(0, 0.4, (160, 3))
    stain = np.array([0.0, 0.0, 5.0])
    features = np.concatenate([places[mixed], places[alone] + stain]) + noise
    allowed = np.eye(6, dtype=bool)[np.concatenate([mixed, alone])]
    stained = (features[:40] + stain).astype(np.float32)

    def count_missed(lineage_weight: float) -> tuple[int, float]:
        lineage = np.concatenate([np.ones(80), np.full(80, lineage_weight)])
        examples = Examples(features.astype(np.float32), allowed, np.ones(160), lineage)
        head = fit_head(examples, HeadSettings(l2=1e-2))
        called = head.logits(features[80:].astype(np.float32)).argmax(axis=1)
        return int((head.logits(stained).argmax(axis=1) != 0).sum()), float(np.mean(called == alone))

    whole, none = count_missed(1.0), count_missed(0.0)
    assert none[0] < whole[0], "erythroid cells in the other laboratory's stain"
    assert none[1] > 0.9
