"""All figures of a classifier on labelled cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.cells.classes import ERYTHROID_STAGES, UNSTAGED_ERYTHROBLAST, Lineage, find_type
from erythron.errors import DataError
from erythron.train.shared.intervals import estimate
from erythron.train.shared.metrics import (
    Floats,
    Ints,
    area_under_curve,
    brier_score,
    calibration_error,
    confusion,
    macro_f1,
    precision_recall,
    quadratic_kappa,
)

STAGE_FIGURES = (
    "stage_accuracy",
    "stage_accuracy_of_all_classes",
    "stage_macro_f1",
    "stage_within_one",
    "stage_quadratic_kappa",
)
"""Figures of the cells whose true class is a stage."""


@dataclass(frozen=True)
class ClassScore:
    """One class: its cells, precision and recall (None where nothing was called, or is, of it)."""

    name: str
    cells: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Scores:
    """Figures of N cells.

    Attributes:
        cells: N.
        groups: number of cross-validation groups, the units of the bootstrap.
        figures: each with its 95 % interval, those of :func:`find_figures`.
        classes: each class.
        confusion: true classes in rows, calls in columns.
    """

    cells: int
    groups: int
    figures: dict[str, Estimate]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


def find_lineage(label: str) -> Lineage:
    """Return the lineage of a class by its name; ``OTHER`` where the name says none, or no one knows it."""
    try:
        found = find_type(label)
    except DataError:
        return Lineage.OTHER
    if found.cell_class is not None:
        return found.cell_class.lineage
    return Lineage.ERYTHROID if found == UNSTAGED_ERYTHROBLAST else Lineage.OTHER


def mark_erythroid(classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return which classes are erythroid, (C,) bool."""
    return np.array([find_lineage(name) is Lineage.ERYTHROID for name in classes])


def count_stages(classes: Sequence[str]) -> int:
    """Return how many of the classes, which come first, are erythroid stages."""
    stages = {s.name for s in ERYTHROID_STAGES}
    return sum(name in stages for name in classes)


def find_figures(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> dict[str, float]:
    """Return the figures of calls; nan where these cells have none.

    ``accuracy``, ``macro_f1``, ``brier`` and ``calibration_error`` look at every class. Where two classes or
    more are stages, ``stage_…`` look at the cells of a stage alone: ``stage_accuracy_of_all_classes`` at the
    most probable of all classes, the others at the most probable stage.
    Where some classes are erythroid and some are not, ``erythroid_auc`` tells the two apart by the summed
    probability, and with all four stages ``five_way_…`` take all other classes as one.

    Args:
        truth: (N,) true class.
        probabilities: (N, C).
        classes: names of the C classes, stages first in order of maturation.
    """
    count, stages = len(classes), count_stages(classes)
    called = probabilities.argmax(axis=1)
    figures = {
        "accuracy": float((called == truth).mean()),
        "macro_f1": macro_f1(truth, called, count),
        "brier": brier_score(truth, probabilities),
        "calibration_error": calibration_error(probabilities.max(axis=1), called == truth),
    }
    if stages >= 2:
        figures |= _find_stage_figures(truth, probabilities, stages)
    is_erythroid = mark_erythroid(classes)
    if is_erythroid.any() and not is_erythroid.all():
        score = probabilities[:, is_erythroid].sum(axis=1)
        figures["erythroid_auc"] = area_under_curve(is_erythroid[truth], score)
        if stages == is_erythroid.sum() == len(ERYTHROID_STAGES):
            five_truth, five = np.minimum(truth, stages), np.minimum(called, stages)
            figures["five_way_accuracy"] = float(np.mean(five == five_truth))
            figures["five_way_macro_f1"] = macro_f1(five_truth, five, stages + 1)
    return figures


def find_rows(truth: Ints, classes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return (N,) which cells those figures of :func:`find_figures` are of that are not of all cells."""
    return dict.fromkeys(STAGE_FIGURES, truth < count_stages(classes))


def _find_stage_figures(truth: Ints, probabilities: Floats, stages: int) -> dict[str, float]:
    staged = truth < stages
    if not staged.any():
        return dict.fromkeys(STAGE_FIGURES, float("nan"))
    stage_truth, stage = truth[staged], probabilities[staged, :stages].argmax(axis=1)
    values = (
        float(np.mean(stage == stage_truth)),
        float(np.mean(probabilities[staged].argmax(axis=1) == stage_truth)),
        macro_f1(stage_truth, stage, stages),
        float(np.mean(np.abs(stage - stage_truth) <= 1)),
        quadratic_kappa(stage_truth, stage, stages),
    )
    return dict(zip(STAGE_FIGURES, values, strict=True))


def score_calls(
    truth: Ints, probabilities: Floats, classes: Sequence[str], groups: NDArray[np.str_], seed: int = 0
) -> Scores:
    """Return every figure with its interval.

    Args:
        truth: (N,) true class.
        probabilities: (N, C).
        classes: names of the C classes, stages first.
        groups: (N,) what the bootstrap draws as one.
        seed: of the bootstrap.
    """
    figures = estimate(
        lambda i: find_figures(truth[i], probabilities[i], classes), groups, seed, find_rows(truth, classes)
    )
    called = probabilities.argmax(axis=1)
    table = confusion(truth, called, len(classes), len(classes))
    precision, recall = precision_recall(truth, called, len(classes))
    each = tuple(
        ClassScore(name, int(table[i].sum()), _round(precision[i]), _round(recall[i]))
        for i, name in enumerate(classes)
    )
    rows = tuple(tuple(int(v) for v in row) for row in table)
    return Scores(len(truth), len(np.unique(groups)), figures, each, rows)


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
