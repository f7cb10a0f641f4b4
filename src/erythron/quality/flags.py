"""Quality of a specimen as named flags, with every threshold in one place.

In: counts of fields and what their images showed. Out: :class:`~erythron.differential.counts.QualityFlag`. A
flag says what was measured and which limit that passed; it hides no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from erythron.differential.combined import EXCESS
from erythron.differential.counts import CellCounts, Correction, LeftOutArea, QualityFlag

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class QualityThresholds:
    """Where a flag begins.

    Attributes:
        fewest_cells: nucleated cells; the least that the ICSH asks of a marrow differential (Lee et al. 2008,
            doi 10.1111/j.1751-553X.2008.01100.x, at least 300, 500 where a stage is near a limit).
        most_unclassified: share of the nucleated cells.
        most_left_out: share of the area of an image, or of all images.
        stain_distance: standard deviations of the training cells by which the median cell's colour is off.
        most_unlike: share of the cells that are less like the training cells than 99 % of those.
        drift_p: probability under equal mix of all fields below which they are said to differ; one test a
            specimen, so that many fields or classes raise no more false alarms.
    """

    fewest_cells: int = 300
    most_unclassified: float = 0.2
    most_left_out: float = 0.1
    stain_distance: float = 2.0
    most_unlike: float = 0.2
    drift_p: float = 0.01


THRESHOLDS = QualityThresholds()


@dataclass(frozen=True)
class FieldQuality:
    """What the image of a field showed.

    Attributes:
        scale_known: whether the image, the user or its red cells gave the scale.
        stain_distance: largest distance of the median cell's colours from the training cells' mean, in their
            standard deviations; None where there is no cell to judge by.
        unlike_fraction: share of the cells that are less like the training cells than 99 % of those; None
            where there is no cell.
        left_out: areas in which no cell is counted.
    """

    scale_known: bool = True
    stain_distance: float | None = None
    unlike_fraction: float | None = None
    left_out: tuple[LeftOutArea, ...] = ()

    @property
    def left_out_fraction(self) -> float:
        """Share of the image's area that is left out."""
        return sum(area.area_fraction for area in self.left_out)


def judge_counts(nucleated: int, unclassified: int, limits: QualityThresholds) -> list[QualityFlag]:
    """Return the flags that the number of cells and of unclassified ones raises."""
    flags = []
    if nucleated < limits.fewest_cells:
        flags.append(
            QualityFlag(
                "too_few_cells",
                f"{nucleated} nucleated cells were counted, fewer than {limits.fewest_cells}: "
                "intervals are wide, count more fields",
                nucleated,
                limits.fewest_cells,
            )
        )
    if nucleated and unclassified / nucleated > limits.most_unclassified:
        share = unclassified / nucleated
        flags.append(
            QualityFlag(
                "many_unclassified",
                f"{share:.0%} of the nucleated cells were called with less than the stated confidence: "
                "raw shares of the classes are too low by what these cells are",
                share,
                limits.most_unclassified,
            )
        )
    return flags


def judge_correction(correction: Correction) -> list[QualityFlag]:
    """Return the flag that cells which the model's rates of error do not explain raise."""
    if not correction.unexplained:
        return []
    return [
        QualityFlag(
            "unclassified_unexplained",
            f"{correction.unexplained:.0%} of the cells are unclassified beyond what any mix of classes "
            "explains: the specimen is unlike the training data, and the corrected intervals allow these "
            "cells to be of any class",
            correction.unexplained,
            EXCESS,
        )
    ]


def judge_field(quality: FieldQuality, limits: QualityThresholds) -> list[QualityFlag]:
    """Return the flags that the image of a field raises."""
    flags = []
    if not quality.scale_known:
        flags.append(
            QualityFlag("scale_unknown", "the microns per pixel are not known: give them with --mpp")
        )
    if quality.stain_distance is not None and quality.stain_distance > limits.stain_distance:
        flags.append(
            QualityFlag(
                "stain_unlike_training",
                f"the colour of the median cell is {quality.stain_distance:.1f} standard deviations from the "
                "cells that the model was trained on: check its calls",
                quality.stain_distance,
                limits.stain_distance,
            )
        )
    if quality.unlike_fraction is not None and quality.unlike_fraction > limits.most_unlike:
        flags.append(
            QualityFlag(
                "cells_unlike_training",
                f"{quality.unlike_fraction:.0%} of the cells are less like those of the training than 99 % "
                "of them: the image may show another stain, tissue or kind of picture",
                quality.unlike_fraction,
                limits.most_unlike,
            )
        )
    if quality.left_out_fraction > limits.most_left_out:
        flags.append(_flag_left_out(quality.left_out_fraction, limits))
    return flags


def judge_fields(
    fields: Sequence[CellCounts],
    of_fields: Sequence[Sequence[QualityFlag]],
    left_out_fraction: float,
    limits: QualityThresholds,
) -> list[QualityFlag]:
    """Return the flags of several fields together: a drift between them, and in how many each other is.

    Args:
        fields: counts of each field.
        of_fields: flags of each field.
        left_out_fraction: mean share of the area that is left out.
        limits: thresholds.
    """
    flags = []
    drift = measure_drift(np.array([(*f.counts, f.unclassified) for f in fields], dtype=np.int64))
    if drift is not None and drift < limits.drift_p:
        flags.append(
            QualityFlag(
                "drift_between_fields",
                f"the mix of classes differs between the {len(fields)} fields by more than chance "
                f"(p {'below 0.001' if drift < 0.001 else f'= {drift:.3f}'}): the smear is uneven, spread "
                "the fields over it",
                drift,
                limits.drift_p,
            )
        )
    for name in ("scale_unknown", "stain_unlike_training", "cells_unlike_training"):
        raised = [flag for one in of_fields for flag in one if flag.name == name]
        if raised:
            worst = max(raised, key=lambda flag: flag.value or 0.0)
            flags.append(
                QualityFlag(
                    name,
                    f"in {len(raised)} of {len(fields)} fields: {worst.text}",
                    worst.value,
                    worst.threshold,
                )
            )
    if left_out_fraction > limits.most_left_out:
        flags.append(_flag_left_out(left_out_fraction, limits))
    return flags


def measure_drift(fields: Ints) -> float | None:
    """Return the probability of fields as different as these if all had one mix.

    Pearson's chi-squared over the table of fields and classes. Its distribution is drawn, by dealing the
    same cells out to fields of the same sizes, because most expected counts are small; only for more than
    ``_MOST_DEALT`` cells the chi-squared distribution takes its place.

    Args:
        fields: (F, K), cells of each class in each field.

    Returns:
        The probability, or None where fewer than two fields or classes have cells.
    """
    table = fields[fields.sum(axis=1) > 0][:, fields.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None
    observed = _chi_squared(table[None], table)[0]
    total = int(table.sum())
    if total > _MOST_DEALT:
        return float(chdtrc((table.shape[0] - 1) * (table.shape[1] - 1), observed))
    rng = np.random.default_rng(0)
    cells = np.repeat(np.arange(table.shape[1]), table.sum(axis=0))
    field_of = np.repeat(np.arange(table.shape[0]), table.sum(axis=1))
    as_far, at_once = 0, max(1, _MOST_HELD // table.size)
    for first in range(0, _DEALS, at_once):
        deals = min(at_once, _DEALS - first)
        dealt = rng.permuted(np.broadcast_to(cells, (deals, total)), axis=1)
        keys = (np.arange(deals)[:, None] * table.shape[0] + field_of) * table.shape[1] + dealt
        tables = np.bincount(keys.ravel(), minlength=deals * table.size).reshape(deals, *table.shape)
        as_far += int((_chi_squared(tables, table) >= observed - 1e-9).sum())
    return (as_far + 1) / (_DEALS + 1)


_DEALS = 1999
_MOST_DEALT = 2000
_MOST_HELD = 1_000_000
"""Numbers in the tables that are dealt at once, so that memory does not grow with the fields."""


def _chi_squared(tables: Ints, margins_of: Ints) -> NDArray[np.float64]:
    expected = np.outer(margins_of.sum(axis=1), margins_of.sum(axis=0)) / margins_of.sum()
    return np.asarray(((tables - expected) ** 2 / expected).sum(axis=(1, 2)))


def _flag_left_out(fraction: float, limits: QualityThresholds) -> QualityFlag:
    return QualityFlag(
        "area_left_out",
        f"{fraction:.0%} of the area is out of focus or too thick; its cells are not counted",
        fraction,
        limits.most_left_out,
    )
