"""The definitions of the M:E ratio that are in use, and which classes of a model they count.

Light: the command line names them before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from erythron.cells.classes import CellClass, Lineage


class MERatio(StrEnum):
    """Which cells the numerator of M:E counts; the denominator are erythroblasts of all stages.

    Attributes:
        ICSH: granulocytes, monocytes and their precursors, myeloblasts among them (Lee et al. 2008, doi
            10.1111/j.1751-553X.2008.01100.x, section 2.6).
        GRANULOCYTIC: granulocytes and their precursors, without monocytes and blasts.
    """

    ICSH = "icsh"
    GRANULOCYTIC = "granulocytic"


_BLAST = "blast"
"""A class of this name, whose synonyms are those of the myeloblast; the shipped model has none."""

_WORDS = {
    MERatio.ICSH: "granulocytes, monocytes and their precursors to erythroblasts (ICSH, Lee et al. 2008)",
    MERatio.GRANULOCYTIC: "granulocytes and their precursors, without monocytes, to erythroblasts",
}


def list_myeloid(classes: Sequence[CellClass], definition: MERatio) -> tuple[str, ...]:
    """Return the names of the classes that the numerator counts; none where no class is granulocytic."""
    if all(c.lineage is not Lineage.GRANULOCYTIC for c in classes):
        return ()
    lineages = {Lineage.GRANULOCYTIC}
    if definition is MERatio.ICSH:
        lineages.add(Lineage.MONOCYTIC)
    return tuple(
        c.name for c in classes if c.lineage in lineages or (c.name == _BLAST and definition is MERatio.ICSH)
    )


def describe_me_ratio(definition: MERatio) -> str:
    """Return in words what is over what, and by whose definition."""
    return _WORDS[definition]
