"""What README and the results say of the shipped model is what its card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import Estimate

ROOT = Path(__file__).parents[2]

README_ROWS = {
    "stage of an erythroid cell, 126 marrow crops, grouped cross-validation: accuracy": "stage_accuracy",
    "the same: macro-F1": "stage_macro_f1",
    "the same: within one stage": "stage_within_one",
    "the same: quadratic-weighted kappa": "stage_quadratic_kappa",
    'stage or "not erythroid", 404 marrow crops: macro-F1': "five_way_macro_f1",
    "erythroid or not, the same crops: area under the curve": "erythroid_auc",
    "outline of the central marrow cell, 80 crops, cross-validated: mean Dice of the cell": (
        "marrow_cell_dice_mean"
    ),
    "the same: of the nucleus": "marrow_nucleus_dice_mean",
}

RESULT_ROWS = {
    "stage accuracy, 126 erythroid cells, best of four": "stage_accuracy",
    "stage macro-F1": "stage_macro_f1",
    "within one stage": "stage_within_one",
    "quadratic-weighted kappa": "stage_quadratic_kappa",
    "five-way accuracy, 404 cells": "five_way_accuracy",
    "five-way macro-F1": "five_way_macro_f1",
    "erythroid AUC": "erythroid_auc",
    "expected calibration error, ten classes": "calibration_error",
}


def read_rows(path: Path) -> dict[str, list[str]]:
    """The cells of every table row after its first, by the first; of rows alike the first one counts."""
    rows: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            first, *rest = (
                cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")
            )
            rows.setdefault(first, rest)
    return rows


def figures_of_the_card() -> dict[str, Estimate]:
    card = load_bundle().card
    return {**card.evaluation.figures, **card.outlines}


@pytest.mark.parametrize(("text", "name"), README_ROWS.items())
def test_the_readme_has_the_figures_of_the_card(text: str, name: str) -> None:
    figure = figures_of_the_card()[name]
    shown = read_rows(ROOT / "README.md")[text]
    assert shown[:2] == [f"{figure.value:.3f}", f"{figure.low:.3f} – {figure.high:.3f}"]


@pytest.mark.parametrize("document", ["default-model.md", "segmentation.md"])
def test_the_results_have_the_outlines_of_the_card(document: str) -> None:
    rows = read_rows(ROOT / "docs" / "results" / document)
    for name, figure in load_bundle().card.outlines.items():
        shown = rows[name.replace("_", " ")]
        assert shown[:2] == [f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"]


@pytest.mark.parametrize(("text", "name"), RESULT_ROWS.items())
def test_the_results_have_the_figures_of_the_card(text: str, name: str) -> None:
    figure = figures_of_the_card()[name]
    shown = read_rows(ROOT / "docs" / "results" / "default-model.md")[text]
    assert shown[:2] == [f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"]


def test_the_results_have_the_confusion_of_the_card() -> None:
    rows = read_rows(ROOT / "docs" / "results" / "default-model.md")
    validation = load_bundle().card.evaluation
    for name, counts in zip(validation.true_classes, validation.confusion, strict=True):
        assert [int(cell) for cell in rows[name]] == list(counts)
