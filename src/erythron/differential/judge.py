"""Flags that the counts themselves raise: too few cells, too many unclassified, fields that differ.

In: counts of one field or of many, and the flags of each field's image. Out: the flags of the specimen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from erythron.differential.counts import CellCounts, Correction, Estimate
from erythron.differential.mixes import EXCESS
from erythron.quality.flags import (
    QualityFlag,
    QualityThresholds,
    flag_left_out,
    in_percent,
)

Ints = NDArray[np.int64]

IN_SOME_FIELDS = (
    "scale_unknown",
    "magnification_too_low",
    "scale_contradicted",
    "scale_doubtful",
    "scale_from_nuclei",
    "stain_unlike_training",
    "cells_unlike_training",
    "area_without_image",
    "shown_turned",
)
"""Flags of single fields that are told of several fields together."""

_DEALS = 1999
_MOST_DEALT = 2000
_MOST_HELD = 1_000_000
"""Numbers in the tables that are dealt at once, so that memory does not grow with the fields."""


def judge_counts(
    nucleated: int, unclassified: int, limits: QualityThresholds, *, is_marrow: bool = True
) -> list[QualityFlag]:
    """Return the flags that the number of cells and of unclassified ones raises.

    Args:
        nucleated: nucleated cells that are counted.
        unclassified: those of them called with less than the stated confidence.
        limits: thresholds.
        is_marrow: whether the specimen may be marrow; of blood no number is asked, only that there are any.
    """
    flags = []
    if nucleated < (limits.fewest_cells if is_marrow else 1):
        needed = f", and {limits.fewest_cells} cells are needed" if is_marrow else ""
        text = f"nothing was counted{needed}: count other fields"
        if nucleated:
            counted = "1 nucleated cell was" if nucleated == 1 else f"{nucleated} nucleated cells were"
            text = (
                f"{counted} counted, fewer than {limits.fewest_cells}: intervals are wide, count more fields"
            )
        flags.append(QualityFlag("too_few_cells", text, nucleated, limits.fewest_cells))
    if nucleated and unclassified / nucleated > limits.most_unclassified:
        share = unclassified / nucleated
        flags.append(
            QualityFlag(
                "many_unclassified",
                f"{in_percent(share)} of the nucleated cells are unclassified, as the model is too unsure of "
                "them: the raw shares of their classes lack them, and are too low by so much",
                share,
                limits.most_unclassified,
            )
        )
    return flags


def judge_correction(correction: Correction, erythroid: Estimate | None) -> list[QualityFlag]:
    """Return the flag that unclassified cells which the model's rates of error do not explain raise.

    Args:
        correction: how the figures were corrected.
        erythroid: the corrected erythroid share, whose bound is told; None where there is none.
    """
    if not correction.unexplained:
        return []
    text = (
        f"{in_percent(correction.unexplained)} of the cells are unclassified in excess of what is usual for "
        "the model: this specimen is unlike those on which it was tested. The corrected figures share these "
        "cells out among the classes as the model thinks likely"
    )
    if erythroid is not None and erythroid.bound is not None:
        low, high = erythroid.bound
        text += (
            f"; if they were all of one lineage, the erythroid share would lie between "
            f"{in_percent(low, 1)} and {in_percent(1.0 if high is None else high, 1)}"
        )
    return [QualityFlag("unclassified_unexplained", text, correction.unexplained, EXCESS)]


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
    for name in IN_SOME_FIELDS:
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
        flags.append(flag_left_out(left_out_fraction, limits))
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


def _chi_squared(tables: Ints, margins_of: Ints) -> NDArray[np.float64]:
    expected = np.outer(margins_of.sum(axis=1), margins_of.sum(axis=0)) / margins_of.sum()
    return np.asarray(((tables - expected) ** 2 / expected).sum(axis=(1, 2)))
