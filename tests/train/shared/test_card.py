from __future__ import annotations

import pytest

from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.bundle.schema import Method, ModelCard
from erythron.train.shared.card import render_card


def vary(**changes: object) -> ModelCard:
    return load_bundle().card.model_copy(update=changes)


def test_the_shipped_card_is_what_its_figures_make() -> None:
    assert (DEFAULT_BUNDLE / "card.md").read_text(encoding="utf-8") == render_card(load_bundle().card)


def test_a_card_says_only_what_is_true_of_its_bundle() -> None:
    """Each sentence stands where its reason does, and nowhere else."""
    shipped = render_card(load_bundle().card)
    assert "5 folds on 404 judged cells" in shipped
    assert "Of the 357 judged cells at or above it 10 are called wrong so (2.8%;" in shipped
    assert "| erythroid | 83 of 85 | 0.976 | 0.918 to 0.997 |" in shipped
    assert "was not fitted anew" not in " ".join(shipped.split())
    evaluation = load_bundle().card.evaluation
    test_part = evaluation.model_copy(update={"method": Method.TEST_PART, "folds": 1, "by_set": {}})
    other = " ".join(
        render_card(
            vary(
                evaluation=test_part,
                calibrated_on="validation part",
                takes_measurements=False,
                outlines_from="taken from erythron-default 9, as are its figures",
                unclassified_below=1.0,
                limits=(),
                detection=None,
            )
        ).split()
    )
    assert "cells of the test part" in other
    assert "folds" not in other
    assert "slightly flattered" not in other
    assert "whole set not seen" not in other
    assert "takes no measurements" in other
    assert "was not fitted anew without them" in other
    assert "every call is unclassified" in other
    assert "was not measured: corrected figures do not allow for missed cells" in other
    assert "83 of 85" not in other
    same = render_card(vary(evaluation=test_part, calibrated_on="test part, for there is no validation part"))
    assert "chosen on the test part, for there is no validation part. These are the cells" in same


@pytest.mark.parametrize("name", ["proerythroblast", "plasma_cell"])
def test_classes_of_few_judged_cells_are_named(name: str) -> None:
    assert f"8 of {name}" in render_card(load_bundle().card)
