"""Cells that are missed: how often the segmentation finds a cell that is there, by lineage.

In: counts of cells that a reader drew and of those found, as a bundle's card states them. Out: a
:class:`Detection`, which the corrected shares divide by: a lineage that is missed more often would otherwise
be reported too small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.cells.classes import Lineage
from erythron.differential.intervals import clopper_pearson


@dataclass(frozen=True)
class Detection:
    """Cells that a reader drew in fields, and how many of them the segmentation network found.

    Attributes:
        erythroid: found and drawn erythroid cells.
        other: found and drawn other nucleated cells.
        source: of which fields, and the command that measured it.
    """

    erythroid: tuple[int, int]
    other: tuple[int, int]
    source: str

    def __post_init__(self) -> None:
        for found, drawn in (self.erythroid, self.other):
            if not 0 <= found <= drawn or drawn == 0:
                raise ValueError(f"of {drawn} drawn cells {found} cannot have been found")

    def of(self, lineage: Lineage) -> tuple[int, int]:
        """Return the found and the drawn cells of a lineage."""
        return self.erythroid if lineage is Lineage.ERYTHROID else self.other


def describe_found(counts: tuple[int, int], kind: str, level: float) -> str:
    """Return found and drawn cells in words, with the exact interval of the rate.

    >>> describe_found((76, 85), "erythroid", 0.95)
    '76 of 85 erythroid cells, 81 to 95 %'
    """
    found, drawn = counts
    low, high = clopper_pearson(found, drawn, level)
    return f"{found} of {drawn} {kind} cells, {100 * low:.0f} to {100 * high:.0f} %"


def draw_recall(counts: tuple[int, int], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (draws,) rates at which cells are found: beta, with Jeffreys' prior of half a cell each.

    Args:
        counts: found and drawn cells.
        draws: how many rates.
        rng: source of the draws.
    """
    found, drawn = counts
    return rng.beta(found + 0.5, drawn - found + 0.5, draws)
