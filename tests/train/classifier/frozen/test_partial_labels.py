from __future__ import annotations

import numpy as np
import pytest
import torch

from erythron.cells.classes import CELL_TYPES, DEFAULT_CLASSES, find_type
from erythron.errors import DataError
from erythron.train.classifier.frozen.network import MergeLayer
from erythron.train.classifier.frozen.partial_labels import (
    FINE_CLASSES,
    class_of_fine,
    find_open,
    merge_logits,
    open_labels,
)

MARROW = {
    "proerythroblast": {0},
    "basophilic": {1},
    "polychromatic": {2},
    "orthochromatic": {3},
    "promyelocyte": {4},
    "myelocyte": {5},
    "metamyelocyte": {6},
    "band": {7},
    "segmented": {8},
    "eosinophil": {9},
    "basophil": {10},
    "lymphocyte": {11},
    "monocyte": {12},
    "plasma": {13},
    "blast": {14},
    "macrophage": {15},
}
BLOOD = {
    "erythroblast": {0, 1, 2, 3},
    "ig": {4, 5, 6},
    "neutrophil": {7, 8},
    "eosinophil": {9},
    "basophil": {10},
    "lymphocyte": {11},
    "monocyte": {12},
    "platelet": {16},
}


@pytest.mark.parametrize(("label", "expected"), [*MARROW.items(), *BLOOD.items()])
def test_the_shipped_sets_have_the_labels_that_the_shipped_model_was_fitted_on(
    label: str, expected: set[int]
) -> None:
    """By the source's own label and by the name that a manifest gives it, in the order of the outputs."""
    for name in (label, find_type(label).name):
        assert set(np.flatnonzero(open_labels([name])[0])) == expected


def test_every_class_has_a_fine_class() -> None:
    assert set(class_of_fine()) == set(range(len(DEFAULT_CLASSES)))


def test_coarse_labels_of_other_sets_leave_their_fine_classes_open() -> None:
    whole = open_labels(["white_cell", "granulocyte", "hairy_cell", "megakaryocyte", "LYI", "EBO"])
    assert whole.sum(axis=1).tolist() == [16, 7, 1, 2, 1, 4]
    assert not whole[0, FINE_CLASSES.index("platelet")]
    assert [FINE_CLASSES[i] for i in np.flatnonzero(whole[3])] == ["blast", "macrophage"]


@pytest.mark.parametrize(
    "name", ["red_cell", "artefact", "not_identifiable", "NIF", "reticulocyte", "smudge"]
)
def test_nothing_is_learned_from_what_is_no_nucleated_cell(name: str) -> None:
    assert find_open(find_type(name)) == ()


@pytest.mark.parametrize("kind", CELL_TYPES, ids=lambda kind: kind.name)
def test_a_label_leaves_open_only_fine_classes_of_its_own_class(kind: object) -> None:
    assert isinstance(kind, type(CELL_TYPES[0]))
    if kind.cell_class is not None:
        classes = {DEFAULT_CLASSES[class_of_fine()[FINE_CLASSES.index(n)]] for n in find_open(kind)}
        assert classes == {kind.cell_class}


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(DataError, match="'banana' is no known cell class"):
        open_labels(["band", "banana"])


def test_merged_logits_have_the_summed_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(5, len(FINE_CLASSES))) * 3
    fine = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    merged = merge_logits(logits)
    layer = MergeLayer(class_of_fine())(torch.from_numpy(logits))
    np.testing.assert_allclose(layer.numpy(), merged)
    called = np.exp(merged) / np.exp(merged).sum(axis=1, keepdims=True)
    for c in range(len(DEFAULT_CLASSES)):
        np.testing.assert_allclose(called[:, c], fine[:, class_of_fine() == c].sum(axis=1))
