"""The indices of a differential: which classes stand over which, by whose definition, and their raw values.

In: the classes of a model. Out: the indices that these classes allow. The one place for their definitions.
The raw value of every index is of classified cells; what the others are enters the corrected value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from erythron.cells.classes import (
    BASOPHILIC_ERYTHROBLAST,
    ERYTHROID_STAGES,
    ORTHOCHROMATIC_ERYTHROBLAST,
    POLYCHROMATIC_ERYTHROBLAST,
    PROERYTHROBLAST,
    CellClass,
    Lineage,
)
from erythron.differential.calls import Contrast
from erythron.differential.counts import Estimate, Index, ReferenceRange
from erythron.differential.intervals import Interval, clopper_pearson, ratio_interval
from erythron.differential.me_ratio import MERatio, describe_me_ratio, list_myeloid

NUCLEATED_RED_CELLS = "nucleated_red_cells"
"""Name of the index of blood."""

_YOUNG = (PROERYTHROBLAST.name, BASOPHILIC_ERYTHROBLAST.name)
_OLD = (POLYCHROMATIC_ERYTHROBLAST.name, ORTHOCHROMATIC_ERYTHROBLAST.name)


@dataclass(frozen=True)
class IndexDefinition:
    """What an index is.

    Attributes:
        name: snake_case name.
        title: name as printed.
        loinc: code of the observation, or None.
        definition: in words, with whose definition it is.
        contrast: the classes over the other classes; of a share, ``rest`` is the rest of its denominator.
    """

    name: str
    title: str
    loinc: str | None
    definition: str
    contrast: Contrast


def list_indices(
    classes: Sequence[CellClass], me_ratio: MERatio = MERatio.ICSH
) -> tuple[IndexDefinition, ...]:
    """Return the indices that a model's classes allow, in the order of a report.

    Args:
        classes: of the model.
        me_ratio: which cells the numerator of M:E counts.
    """
    erythroid = _of(classes, Lineage.ERYTHROID)
    myeloid = list_myeloid(classes, me_ratio)
    other = tuple(c.name for c in classes if c.lineage not in (Lineage.ERYTHROID, Lineage.NOT_NUCLEATED))
    found = []
    if erythroid:
        found.append(
            IndexDefinition(
                "erythroid_share",
                "Erythroid share of classified cells",
                "40689-2",
                "of nucleated cells (LOINC 40689-2): raw of the classified ones, corrected of all, "
                "unclassified ones dealt out",
                _contrast(erythroid, other, "share"),
            )
        )
    if erythroid and myeloid:
        found.append(
            IndexDefinition(
                "me_ratio",
                "M:E ratio",
                "11138-5",
                f"{describe_me_ratio(me_ratio)}; LOINC 11138-5",
                _contrast(myeloid, erythroid, "ratio"),
            )
        )
    if {c.name for c in ERYTHROID_STAGES} <= set(erythroid):
        found += [
            IndexDefinition(
                "maturation_index",
                "Maturation index I:Me",
                None,
                "(pro- + basophilic) to (polychromatic + orthochromatic) erythroblasts",
                _contrast(_YOUNG, _OLD, "ratio"),
            ),
            IndexDefinition(
                "proliferation_ratio",
                "Proliferating to maturing erythroblasts",
                None,
                "(pro- + basophilic + polychromatic) to orthochromatic ones, which no longer divide; "
                "erythron's definition",
                _contrast((*_YOUNG, _OLD[0]), _OLD[1:], "ratio"),
            ),
            IndexDefinition(
                "left_shift",
                "Left shift of erythropoiesis",
                None,
                "pro- and basophilic erythroblasts of all erythroid cells; erythron's definition",
                _contrast(_YOUNG, tuple(n for n in erythroid if n not in _YOUNG), "share"),
            ),
        ]
    return tuple(found)


def define_nucleated_red_cells(classes: Sequence[CellClass]) -> IndexDefinition | None:
    """Return the index that a blood count has in place of those of marrow; None without erythroid classes."""
    erythroid = _of(classes, Lineage.ERYTHROID)
    white = tuple(c.name for c in classes if c.lineage not in (Lineage.ERYTHROID, Lineage.NOT_NUCLEATED))
    if not erythroid or not white:
        return None
    return IndexDefinition(
        NUCLEATED_RED_CELLS,
        "Nucleated red cells per 100 white cells",
        None,
        "erythroid cells to a hundred other nucleated ones, as in a blood count",
        _contrast(erythroid, white, "ratio"),
    )


def _of(classes: Sequence[CellClass], lineage: Lineage) -> tuple[str, ...]:
    return tuple(c.name for c in classes if c.lineage is lineage)


def _contrast(part: tuple[str, ...], rest: tuple[str, ...], kind: Literal["share", "ratio"]) -> Contrast:
    return Contrast(part, rest, kind)


def make_index(
    definition: IndexDefinition,
    by_name: Mapping[str, int],
    level: float,
    corrected: Estimate | None = None,
    reference: ReferenceRange | None = None,
) -> Index:
    """Return the raw value of an index with its interval.

    Args:
        definition: of the index.
        by_name: counted cells of each class.
        level: probability of coverage, between 0 and 1.
        corrected: its corrected value, where there is one.
        reference: its range, where one is known.
    """
    part = sum(by_name[n] for n in definition.contrast.part)
    rest = sum(by_name[n] for n in definition.contrast.rest)
    if definition.contrast.kind == "ratio":
        denominator = rest
        interval = ratio_interval(part, rest, level)
    else:
        denominator = part + rest
        interval = clopper_pearson(part, denominator, level)
    return Index(
        name=definition.name,
        title=definition.title,
        loinc=definition.loinc,
        definition=definition.definition,
        kind=definition.contrast.kind,
        numerator=part,
        denominator=denominator,
        value=part / denominator if denominator else None,
        interval=interval,
        corrected=corrected,
        reference=reference,
    )


def take_per_hundred(index: Index) -> Index:
    """Return a ratio with its value and interval times a hundred."""
    value = None if index.value is None else 100 * index.value
    interval = None if index.interval is None else Interval(*(100 * end for end in index.interval))
    return replace(index, value=value, interval=interval)


def void_index(index: Index) -> Index:
    """Return an index of marrow as it stands where the specimen is none: its counts without a value."""
    return replace(index, value=None, interval=None, corrected=None)
