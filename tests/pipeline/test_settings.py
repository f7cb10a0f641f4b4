"""What a differential is made with: the matrix of the bundle and the ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.bundle.folder import load_bundle
from erythron.errors import DataError
from erythron.pipeline.settings import choose_settings, make_confusion, make_detection


def test_the_shipped_matrix_is_of_the_nucleated_classes_with_unclassified_cells_apart() -> None:
    card = load_bundle().card
    found = make_confusion(card)
    assert found.has_unclassified
    assert found.true_classes == found.calls == tuple(c.name for c in card.classes[:-1])
    confident = card.evaluation.confident_confusion
    assert found.cells == card.evaluation.cells - sum(row[-2] for row in confident)
    assert [row[-1] for row in found.counts] == [row[-1] for row in confident]


def test_the_shipped_card_says_how_often_cells_are_found() -> None:
    card = load_bundle().card
    found = make_detection(card)
    assert found is not None
    assert (found.erythroid, found.other) == ((83, 85), (45, 47))
    assert make_detection(card.model_copy(update={"detection": None})) is None


def test_a_laboratory_replaces_the_shipped_ranges(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[left_shift]\nhigh = 0.1\npopulation = "adults"\nsource = "our laboratory"\n')
    bundle = load_bundle()
    assert set(choose_settings(bundle, own).references) == {"left_shift"}
    assert "erythroid_share" in choose_settings(bundle).references
    own.write_text("[nothing]\nhigh = 1\n")
    with pytest.raises(DataError, match="nothing"):
        choose_settings(bundle, own)
