"""Cells that are missed: how often the segmentation finds a cell that is there, by lineage.

In: counts of cells that a reader drew and of those found, shipped as ``detection.toml``. Out: a
:class:`Detection`, which the corrected shares divide by: a lineage that is missed more often would otherwise
be reported too small. Counts that a bundle brings along take the place of the shipped ones.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from erythron.cells.classes import Lineage

SHIPPED = Path(__file__).parent / "detection.toml"


@dataclass(frozen=True)
class Detection:
    """Cells that a reader drew in fields, and how many of them the segmentation found.

    Attributes:
        erythroid: found and drawn erythroid cells.
        other: found and drawn other nucleated cells.
        network: SHA-256 of the segmentation network that was measured; of another one they say nothing.
        source: of which fields, and the command that measured it.
    """

    erythroid: tuple[int, int]
    other: tuple[int, int]
    network: str
    source: str

    def __post_init__(self) -> None:
        for found, drawn in (self.erythroid, self.other):
            if not 0 <= found <= drawn or drawn == 0:
                raise ValueError(f"of {drawn} drawn cells {found} cannot have been found")

    def of(self, lineage: Lineage) -> tuple[int, int]:
        """Return the found and the drawn cells of a lineage."""
        return self.erythroid if lineage is Lineage.ERYTHROID else self.other


def read_detection(path: Path = SHIPPED) -> Detection:
    """Return the counts of a TOML file with the keys ``erythroid``, ``other``, ``network`` and ``source``."""
    return TypeAdapter(Detection).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))


def choose_detection(networks: Iterable[str]) -> Detection | None:
    """Return how often a segmentation network finds cells; None where that was not measured.

    The shipped figures are of one network, which a bundle that was trained beside it may hold as well.

    Args:
        networks: SHA-256 of the files of a bundle.
    """
    shipped = read_detection()
    return shipped if shipped.network in networks else None


def draw_recall(counts: tuple[int, int], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (draws,) rates at which cells are found: beta, with Jeffreys' prior of half a cell each.

    Args:
        counts: found and drawn cells.
        draws: how many rates.
        rng: source of the draws.
    """
    found, drawn = counts
    return rng.beta(found + 0.5, drawn - found + 0.5, draws)
