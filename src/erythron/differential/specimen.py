"""Marrow or blood: what the numbers of nucleated, erythroid and red cells say of the specimen.

In: counts and the cells in view of each field. Out: a flag, or none where it may be marrow. No pixel is
looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, gammaincinv

from erythron.cells.classes import Lineage
from erythron.differential.counts import CellCounts
from erythron.differential.tally import spread_unclassified
from erythron.quality.flags import LOOKS_LIKE_BLOOD, CellsInView, QualityFlag, QualityThresholds

SPECIMEN_NOT_TOLD = "specimen_not_told"
"""Flag of a count of too few cells to tell what was counted."""

UNLIKE_MARROW = frozenset({LOOKS_LIKE_BLOOD, SPECIMEN_NOT_TOLD})
"""Flags with which a count has no figure of marrow."""

FIELDS_LIKE_BLOOD = "fields_like_blood"
"""Flag of a specimen that is none of blood, and has fields that are, taken together."""

FIELDS_LIKE_MARROW = "fields_like_marrow"
"""Flag of a specimen that looks like blood, and has fields that are surely denser than blood."""

_SURE = 0.95
"""Probability of coverage of a limit, upper or lower, of the nucleated cells to a red cell."""


@dataclass(frozen=True)
class _Evidence:
    """What is known of a specimen, all its fields together.

    Attributes:
        nucleated: nucleated cells that are counted.
        erythroid: how many of them are erythroid, unclassified ones by their probabilities.
        view: the cells in view.
        dense: nucleated cells in view in those of its fields that are too dense for blood.
    """

    nucleated: int
    erythroid: float
    view: CellsInView
    dense: int


def judge_specimen(
    fields: Sequence[CellCounts], views: Sequence[CellsInView], limits: QualityThresholds
) -> QualityFlag | None:
    """Return the flag of a specimen that looks like blood, or has too few cells to tell; None for marrow.

    All fields are judged together: of blood most have no nucleated cell, and one field says little. It is
    blood

    - where nucleated cells are so rare that no marrow has so few, whatever the model calls them; or
    - where they are rarer than in marrow, but for one much diluted with blood, and no more of them are called
      erythroid than the model calls so by mistake. Then most of them must lie in fields that are not denser:
      marrow without red-cell precursors has such fields, however many diluted ones were photographed besides.

    Args:
        fields: counts of each field, or of each area of a slide.
        views: the cells in view of each picture of which they are known.
        limits: thresholds.
    """
    if not fields or not views:
        return None
    found = _gather(fields, views, limits)
    per_thousand = 1000 * found.view.nucleated / found.view.red if found.view.red else None
    if per_thousand is not None and _is_blood(found, limits):
        text = (
            f"there are {per_thousand:.0f} nucleated cells to a thousand red cells, and no more erythroid "
            "ones than blood has, or the model calls so by mistake: this looks like blood. Nucleated red "
            "cells are given per 100 white cells, and no index of marrow"
        )
        return QualityFlag(LOOKS_LIKE_BLOOD, text, per_thousand, 1000 * limits.most_in_blood)
    if found.nucleated < limits.fewest_to_tell:
        text = (
            f"{found.nucleated} nucleated cells were counted, too few to tell marrow from blood (under "
            f"{limits.fewest_to_tell}): no figure says anything of a marrow yet"
        )
        return QualityFlag(SPECIMEN_NOT_TOLD, text, found.nucleated, limits.fewest_to_tell)
    return None


def judge_mixture(
    fields: Sequence[CellCounts],
    of_fields: Sequence[Sequence[QualityFlag]],
    views: Sequence[CellsInView | None],
    limits: QualityThresholds,
) -> QualityFlag | None:
    """Return the flag of a specimen with fields of blood and fields of marrow; None where it has not both.

    The fields that by themselves look like blood, or have too few cells to tell, are judged as if they were a
    specimen. One of them alone says little, and among many cells of marrow theirs are not noticed. Where the
    whole looks like blood, and so has no index of marrow, a field of ten cells and more that is surely denser
    than blood is none of it: few cells of marrow beside many red ones change nothing of the whole.

    Args:
        fields: counts of each field.
        of_fields: flags of each field by itself.
        views: the cells in view of each; None where they are not known.
        limits: thresholds.
    """
    whole = judge_specimen(fields, [view for view in views if view is not None], limits)
    if whole is not None and whole.name == LOOKS_LIKE_BLOOD:
        return _flag_dense(fields, views, limits)
    doubtful = [
        (counts, view)
        for counts, flags, view in zip(fields, of_fields, views, strict=True)
        if view is not None and not UNLIKE_MARROW.isdisjoint(flag.name for flag in flags)
    ]
    found = judge_specimen([counts for counts, _ in doubtful], [view for _, view in doubtful], limits)
    if found is None or found.name != LOOKS_LIKE_BLOOD:
        return None
    some, cells = len(doubtful), sum(counts.nucleated for counts, _ in doubtful)
    said = "looks like blood: is it" if some == 1 else "taken together look like blood: are they"
    text = (
        f"{some} of {len(fields)} fields {said} of this specimen? The figures hold "
        f"{cells} nucleated {'cell' if cells == 1 else 'cells'} of {'it' if some == 1 else 'them'}"
    )
    return QualityFlag(FIELDS_LIKE_BLOOD, text, float(some))


def _flag_dense(
    fields: Sequence[CellCounts], views: Sequence[CellsInView | None], limits: QualityThresholds
) -> QualityFlag | None:
    """Return the flag of fields that are surely denser than blood; None where there are none."""
    dense = [
        view
        for counts, view in zip(fields, views, strict=True)
        if view is not None
        and counts.nucleated >= limits.fewest_to_tell
        # Exact, as in _is_blood; of few cells it says nothing, however dense they lie.
        and float(gammaincinv(view.nucleated, 1 - _SURE)) > limits.most_in_blood * view.red
    ]
    if not dense:
        return None
    some, seen = len(dense), sum(dense, CellsInView(0, 0.0))
    are, they = ("is", "is it") if some == 1 else ("are", "are they")
    text = (
        f"{some} of {len(fields)} fields {are} as dense as marrow ({seen.nucleated} nucleated cells to "
        f"{seen.red:.0f} red cells), and the whole looks like blood: {they} of this specimen? Their cells "
        "are counted as those of blood"
    )
    return QualityFlag(FIELDS_LIKE_MARROW, text, float(some))


def _is_blood(found: _Evidence, limits: QualityThresholds) -> bool:
    # Exact (Garwood 1936, doi 10.1093/biomet/28.3-4.437).
    most = float(gammaincinv(found.view.nucleated + 1, _SURE)) / found.view.red
    if most < limits.surely_blood:
        return True
    if not found.view.nucleated or found.view.nucleated >= limits.most_in_blood * found.view.red:
        return False
    return 2 * found.dense <= found.view.nucleated and not _is_erythroid(found, limits)


def _is_erythroid(found: _Evidence, limits: QualityThresholds) -> bool:
    """Return whether more cells are erythroid than are called so by mistake."""
    if not found.erythroid:
        return False
    others = max(found.nucleated - found.erythroid, 0.0)
    # The upper tail of the binomial distribution, for a number that need not be whole.
    by_mistake = betainc(found.erythroid, others + 1, limits.called_erythroid)
    return float(by_mistake) < limits.blood_level


def _gather(
    fields: Sequence[CellCounts], views: Sequence[CellsInView], limits: QualityThresholds
) -> _Evidence:
    classes = fields[0].classes
    called = np.array([f.counts for f in fields]) + spread_unclassified(fields, classes)
    is_erythroid = np.array([c.lineage is Lineage.ERYTHROID for c in classes])
    return _Evidence(
        sum(f.nucleated for f in fields),
        float(called[:, is_erythroid].sum()),
        sum(views, CellsInView(0, 0.0)),
        sum(v.nucleated for v in views if v.nucleated >= limits.most_in_blood * v.red),
    )
