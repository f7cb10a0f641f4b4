"""What README, results and page say of the shipped model is what its card says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import Estimate
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.differential.intervals import clopper_pearson
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.settings import make_confusion
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field

ROOT = Path(__file__).parents[2]

README_ROWS = {
    "stage of an erythroid cell, 126 marrow crops, cross-validated: accuracy of the best of four": (
        "stage_accuracy"
    ),
    "the same cells named right among all ten classes (111 of 126)": "stage_accuracy_of_all_classes",
    "best of four: macro-F1": "stage_macro_f1",
    "best of four: within one stage": "stage_within_one",
    "best of four: quadratic-weighted kappa": "stage_quadratic_kappa",
    'stage or "not erythroid", 404 marrow crops: macro-F1': "five_way_macro_f1",
    "erythroid or not, the same crops: area under the curve": "erythroid_auc",
    "outline of the central marrow cell, 80 crops, cross-validated: mean Dice of the cell": (
        "marrow_cell_dice_mean"
    ),
    "the same: of the nucleus": "marrow_nucleus_dice_mean",
}

RESULT_ROWS = {
    "stage accuracy, 126 erythroid cells, best of four": "stage_accuracy",
    "erythroid cells named right among all ten classes": "stage_accuracy_of_all_classes",
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


def test_the_figures_of_the_card_are_those_of_its_confusion() -> None:
    found = load_bundle().card.evaluation
    stages = len(ERYTHROID_STAGES)
    rows = found.confusion[:stages]
    staged, right = sum(map(sum, rows)), sum(row[i] for i, row in enumerate(rows))
    assert (right, staged) == (111, 126)
    assert found.figures["stage_accuracy_of_all_classes"].value == round(right / staged, 4)
    five_way = (right + sum(sum(row[stages:]) for row in found.confusion[stages:])) / found.cells
    assert found.figures["five_way_accuracy"].value == round(five_way, 4)
    # All of 126 cells within one stage: the exact lower limit is .025^(1/126).
    assert found.figures["stage_within_one"].low == round(0.025 ** (1 / staged), 4)


def test_the_readme_says_how_often_cells_are_found_as_the_card_does() -> None:
    text = join_lines(ROOT / "README.md")
    known = load_bundle().card.detection
    assert known is not None
    for cells, kind in ((known.erythroid, "erythroid cells"), (known.other, "others")):
        low, high = clopper_pearson(cells.found, cells.drawn)
        assert f"{cells.found} of {cells.drawn} {kind} ({low:.3f} – {high:.3f})" in text
    counts = r"(\d+) of (\d+) erythroid and (\d+) of (\d+) other cells"
    told = re.search(counts, join_lines(ROOT / "docs" / "results" / "intervals.md"))
    assert told is not None
    found = (known.erythroid.found, known.erythroid.drawn, known.other.found, known.other.drawn)
    assert tuple(map(int, told.groups())) == found


def test_the_readme_says_how_few_cells_of_the_early_stages_there_are() -> None:
    early = [sum(row) for row in load_bundle().card.evaluation.confusion[:2]]
    text = join_lines(ROOT / "README.md")
    assert f"Only {early[0]} proerythroblasts and {early[1]} basophilic erythroblasts" in text


def test_the_results_have_the_areas_of_each_set_of_the_card() -> None:
    text = join_lines(ROOT / "docs" / "results" / "default-model.md")
    sets = load_bundle().card.evaluation.by_set
    assert f"area under the curve {sets['pbc-acevedo'].erythroid_auc:.4f}" in text
    for name, told in (("pbc-acevedo", "`pbc-acevedo`"), ("pathology-bites-cells", "the marrow crops")):
        assert f"{sets[name].unseen_erythroid_auc:.3f} on {told}" in text


def test_the_page_has_the_figures_of_the_card(tmp_path: Path) -> None:
    Image.fromarray(draw_field(DrawnFieldSpec(520, 400, seed=0)).rgb).save(tmp_path / "field.png")
    images = find_images([tmp_path / "field.png"])
    text = join_lines(count_images(images, tmp_path / "out", RunOptions(mpp=0.25)).report)
    card = load_bundle().card
    assert f"{card.name} {card.version}" in text
    assert f"confidence under {card.unclassified_below:.2f} is unclassified" in text
    assert f"not trained on ({make_confusion(card).cells} cells)" in text
    assert card.detection is not None
    for cells, kind in ((card.detection.erythroid, "erythroid"), (card.detection.other, "other")):
        low, high = clopper_pearson(cells.found, cells.drawn)
        assert f"{cells.found} of {cells.drawn} {kind} cells, {100 * low:.0f} to {100 * high:.0f} %" in text
    assert card.detection.source in text


def join_lines(path: Path) -> str:
    """The text of a document, each white space one space."""
    return " ".join(path.read_text(encoding="utf-8").split())
