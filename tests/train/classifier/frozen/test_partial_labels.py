from __future__ import annotations

import numpy as np
import pytest
import torch

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.errors import DataError
from erythron.train.classifier.frozen.network import MergeLayer
from erythron.train.classifier.frozen.partial_labels import (
    FINE_LABELS,
    class_of_fine,
    merge_logits,
    open_labels,
)


def test_every_class_has_a_fine_label() -> None:
    assert set(class_of_fine()) == set(range(len(DEFAULT_CLASSES)))


def test_labels_of_blood_leave_several_open() -> None:
    open_ = open_labels(["band", "neutrophil", "erythroblast"])
    assert open_.sum(axis=1).tolist() == [1, 2, 4]
    assert [FINE_LABELS[i] for i in np.flatnonzero(open_[1])] == ["band", "segmented"]


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(DataError, match="'megakaryocyte' is no label"):
        open_labels(["band", "megakaryocyte"])


def test_merged_logits_have_the_summed_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(5, len(FINE_LABELS))) * 3
    fine = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    merged = merge_logits(logits)
    layer = MergeLayer(class_of_fine())(torch.from_numpy(logits))
    np.testing.assert_allclose(layer.numpy(), merged)
    called = np.exp(merged) / np.exp(merged).sum(axis=1, keepdims=True)
    for c in range(len(DEFAULT_CLASSES)):
        np.testing.assert_allclose(called[:, c], fine[:, class_of_fine() == c].sum(axis=1))
