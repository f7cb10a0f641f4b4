"""All figures of a classifier on labelled cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.train.metrics import (
    Floats,
    Ints,
    brier_score,
    calibration_error,
    confusion,
    estimate,
    macro_f1,
    precision_recall,
    quadratic_kappa,
    within_one_stage,
)


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
        groups: number of groups, the units of the bootstrap.
        figures: each with its 95 % interval. ``within_one_stage`` and ``quadratic_kappa`` are there where two
            stages or more are classes.
        classes: each class.
        confusion: true classes in rows, calls in columns.
    """

    cells: int
    groups: int
    figures: dict[str, Estimate]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


def count_stages(classes: Sequence[str]) -> int:
    """Return how many of the classes, which come first, are erythroid stages."""
    stages = {s.name for s in ERYTHROID_STAGES}
    return sum(name in stages for name in classes)


def find_figures(truth: Ints, probabilities: Floats, stages: int) -> dict[str, float]:
    """Return the figures of calls.

    Args:
        truth: (N,) true class.
        probabilities: (N, C).
        stages: how many classes, which come first, are erythroid stages in order of maturation.
    """
    classes = probabilities.shape[1]
    called = probabilities.argmax(axis=1)
    figures = {
        "accuracy": float((called == truth).mean()),
        "macro_f1": macro_f1(truth, called, classes),
        "brier": brier_score(truth, probabilities),
        "calibration_error": calibration_error(probabilities.max(axis=1), called == truth),
    }
    if stages >= 2:
        staged = truth < stages
        stage = probabilities[:, :stages].argmax(axis=1)
        figures["within_one_stage"] = within_one_stage(truth, called, stages)
        # Of the erythroid cells, by the most probable stage: kappa needs both on one scale.
        figures["quadratic_kappa"] = (
            quadratic_kappa(truth[staged], stage[staged], stages) if staged.any() else float("nan")
        )
    return figures


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
    stages = count_stages(classes)
    figures = estimate(lambda i: find_figures(truth[i], probabilities[i], stages), groups, seed)
    called = probabilities.argmax(axis=1)
    table = confusion(truth, called, len(classes), len(classes))
    precision, recall = precision_recall(truth, called, len(classes))
    each = tuple(
        ClassScore(name, int(table[i].sum()), _round(precision[i]), _round(recall[i]))
        for i, name in enumerate(classes)
    )
    return Scores(
        len(truth),
        len(np.unique(groups)),
        figures,
        each,
        tuple(tuple(int(v) for v in row) for row in table),
    )


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
