"""The lines of a differential as a report lists them: their order, and the two sums that a reader looks for.

In: a differential, whose classes stand in the order of the model's outputs. Out: the same lines in the order
of a marrow report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from erythron.cells.classes import (
    ERYTHROID_STAGES,
    LYMPHOCYTE,
    MONOCYTE,
    OTHER,
    PLASMA_CELL,
    UNSTAGED_ERYTHROBLAST,
    Lineage,
)
from erythron.differential.counts import ClassCount, Differential, Estimate, Index

_ORDER = (
    "blast",
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "immature_granulocyte",
    "band_neutrophil",
    "segmented_neutrophil",
    "neutrophil",
    "granulocyte",
    "immature_eosinophil",
    "eosinophil",
    "basophil",
    "mast_cell",
    MONOCYTE.name,
    LYMPHOCYTE.name,
    PLASMA_CELL.name,
    *(stage.name for stage in ERYTHROID_STAGES),
    UNSTAGED_ERYTHROBLAST.name,
    OTHER.name,
)
"""Blasts, the granulocytic series by stage, monocytes, lymphocytes, plasma cells, erythroblasts.

The order in which the ICSH lists the cells of a marrow (Lee et al. 2008, doi
10.1111/j.1751-553X.2008.01100.x, section 2.6); what it does not list, ends its lineage.
"""

_LINEAGES = (
    Lineage.GRANULOCYTIC,
    Lineage.MONOCYTIC,
    Lineage.LYMPHOID,
    Lineage.ERYTHROID,
    Lineage.OTHER,
    Lineage.NOT_NUCLEATED,
)


_OF_OTHER_LINEAGE = {"blast": -1, "mast_cell": _LINEAGES.index(Lineage.GRANULOCYTIC)}
"""Places of classes that the ICSH lists elsewhere than with their lineage."""


FEWEST_TO_CORRECT = 20
"""Nucleated cells under which no corrected figure is shown.

Of 20 cells of a usual marrow by the shipped model the corrected interval of some class spans half of all, of
five all of it; that of the erythroid share 0.39 and 0.60 (medians of six drawn differentials).
"""


@dataclass(frozen=True)
class SumLine:
    """Several classes together.

    Attributes:
        title: name as printed.
        count: cells of these classes (raw).
        fraction: their share of the classified nucleated cells, 0 to 1.
        corrected: corrected share; None without correction.
    """

    title: str
    count: int
    fraction: float
    corrected: Estimate | None


def drop_untold(differential: Differential) -> Differential:
    """Return a differential as a report shows it: of few cells without corrected figures, and why.

    ``differential.json`` and ``summary.csv`` have them all the same.
    """
    cells = differential.nucleated_cells
    if differential.correction.method is None or cells >= FEWEST_TO_CORRECT:
        return differential
    reason = (
        f"so few cells ({cells}, under {FEWEST_TO_CORRECT}) tell nothing of what was there beyond the calls "
        "themselves"
    )
    classes = [
        replace(line, corrected_of_nucleated=None, corrected_of_erythroid=None)
        for line in differential.classes
    ]
    return replace(
        differential,
        classes=tuple(classes),
        correction=replace(differential.correction, method=None, reason=reason),
        erythroid_share=_drop_corrected(differential.erythroid_share),
        me_ratio=_drop_corrected(differential.me_ratio),
        maturation_index=_drop_corrected(differential.maturation_index),
        proliferation_ratio=_drop_corrected(differential.proliferation_ratio),
        left_shift=_drop_corrected(differential.left_shift),
        nucleated_red_cells=_drop_corrected(differential.nucleated_red_cells),
    )


def _drop_corrected(index: Index | None) -> Index | None:
    return None if index is None else replace(index, corrected=None)


def order_lines(classes: Iterable[ClassCount]) -> list[ClassCount]:
    """Return the lines in the order of a marrow report; a class that it does not name ends its lineage."""

    def place(line: ClassCount) -> tuple[int, int]:
        lineage = _OF_OTHER_LINEAGE.get(line.name, _LINEAGES.index(line.lineage))
        return lineage, _ORDER.index(line.name) if line.name in _ORDER else len(_ORDER)

    return sorted(classes, key=place)


def sum_lines(differential: Differential) -> list[SumLine]:
    """Return erythroid and non-erythroid cells together; nothing where the model has no erythroid class.

    Unclassified cells are in neither, and both shares are of the classified cells, as the erythroid share
    among the indices is: so they add up to one, raw and corrected.
    """
    share = differential.erythroid_share
    if share is None or share.value is None:
        return []
    erythroid = differential.erythroid_cells
    other = differential.nucleated_cells - erythroid - differential.unclassified.count
    corrected = share.corrected
    return [
        SumLine("Erythroid, of classified", erythroid, share.value, corrected),
        SumLine("Non-erythroid, of classified", other, 1 - share.value, _complement(corrected)),
    ]


def _complement(share: Estimate | None) -> Estimate | None:
    if share is None or share.value is None:
        return None
    low, high = share.interval or (0.0, None)
    return Estimate(1 - share.value, None if high is None else (1 - high, 1 - low))
