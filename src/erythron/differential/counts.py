"""The differential: counts, shares and indices of the cells that were called, each with its exact interval.

In: the calls of a field, or the counts of many fields. Out: a :class:`Differential`, which is also what
``differential.json`` holds. A diagnosis is never stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from erythron.differential.intervals import Interval, clopper_pearson, ratio_interval
from erythron.errors import DataError
from erythron.stages import (
    BASOPHILIC_ERYTHROBLAST,
    ERYTHROID_STAGES,
    ORTHOCHROMATIC_ERYTHROBLAST,
    POLYCHROMATIC_ERYTHROBLAST,
    PROERYTHROBLAST,
    CellClass,
    Lineage,
)

SCHEMA_VERSION: Literal[1] = 1
"""Version of the layout of ``differential.json``; it rises with every change that a reader would notice."""

UNCLASSIFIED_FLAG = "unclassified"
TOUCHES_EDGE_FLAG = "touches_edge"


@dataclass(frozen=True)
class CellCounts:
    """How many cells were called what.

    Attributes:
        classes: the classes of the model, in the order of its outputs.
        counts: cells of each class, in the same order, unclassified cells left out.
        unclassified: cells called with less than the stated confidence, whatever their most probable class.
        touching_edge: cells among all the above that the border of their image cuts.
    """

    classes: tuple[CellClass, ...]
    counts: tuple[int, ...]
    unclassified: int = 0
    touching_edge: int = 0


@dataclass(frozen=True)
class Proportion:
    """A counted share.

    Attributes:
        count: cells of the class.
        total: cells that the share is of.
        fraction: ``count / total``, 0 to 1; None where ``total`` is 0.
        interval: exact limits of the true fraction, 0 to 1.
    """

    count: int
    total: int
    fraction: float | None
    interval: Interval


@dataclass(frozen=True)
class Index:
    """An index of a differential.

    Attributes:
        title: name as printed.
        loinc: code of the observation, or None where there is none.
        kind: ``share``, where the numerator is part of the denominator, or ``ratio`` of two separate counts.
        numerator: a count.
        denominator: a count.
        value: ``numerator / denominator``; None, that is "not defined", where ``denominator`` is 0.
        interval: exact limits; for a share of no cell 0 to 1, for a ratio to no cell None.
    """

    title: str
    loinc: str | None
    kind: Literal["share", "ratio"]
    numerator: int
    denominator: int
    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class ClassCount:
    """One line of a differential.

    Attributes:
        name: canonical name of the class.
        title: name as printed.
        lineage: lineage of the class.
        count: cells called so.
        of_nucleated: share of the nucleated cells; None for a class that is not nucleated.
        of_erythroid: share of the erythroid cells; None for a class that is not erythroid.
    """

    name: str
    title: str
    lineage: Lineage
    count: int
    of_nucleated: Proportion | None
    of_erythroid: Proportion | None


@dataclass(frozen=True, kw_only=True)
class Differential:
    """A differential count.

    An unclassified cell stands in the total of nucleated cells and is counted in no class. So every share is
    of all nucleated cells, and the shares of the classes and of the unclassified cells add up to one. Classes
    that are not nucleated are reported but stand outside the total. Cells that the image's border cuts are
    counted.

    Attributes:
        schema_version: version of the layout.
        interval_method: how the intervals were computed; that of a ratio is given the sum of its two counts.
        interval_level: probability of coverage of every interval.
        nucleated_cells: the total.
        erythroid_cells: cells called an erythroid class.
        touching_edge_cells: cells that the border of an image cuts.
        classes: one line a class, in the order of the model's outputs.
        unclassified: cells called with less than the stated confidence.
        erythroid_share: erythroid cells of all nucleated cells; None where the model has no erythroid class.
        me_ratio: granulocytic to erythroid cells; None where the model has no class of one of the two.
        maturation_index: (pro- + basophilic) to (polychromatic + orthochromatic) erythroblasts; None where
            the model does not tell these four stages.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION
    interval_method: Literal["clopper_pearson"] = "clopper_pearson"
    interval_level: float
    nucleated_cells: int
    erythroid_cells: int
    touching_edge_cells: int
    classes: tuple[ClassCount, ...]
    unclassified: Proportion
    erythroid_share: Index | None
    me_ratio: Index | None
    maturation_index: Index | None

    @property
    def indices(self) -> tuple[Index, ...]:
        """The indices that the model's classes allow, in the order of a report."""
        known = (self.erythroid_share, self.me_ratio, self.maturation_index)
        return tuple(index for index in known if index is not None)

    def to_json(self) -> str:
        """Return the text of ``differential.json``; shares are fractions, intervals ``[low, high]``."""
        return _adapter().dump_json(self, indent=2).decode() + "\n"

    @staticmethod
    def from_json(text: str) -> Differential:
        """Read the text of a ``differential.json``.

        Raises:
            DataError: the text is no JSON or breaks the schema.
        """
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise DataError(
                f"this is no differential of schema version {SCHEMA_VERSION}: {where}: {first['msg']}; "
                "count the image again to replace it"
            ) from error


def differential_schema() -> dict[str, Any]:
    """Return the JSON schema of ``differential.json``."""
    return _adapter().json_schema(mode="serialization")


def count_cells(cells: pl.DataFrame, classes: Sequence[CellClass]) -> CellCounts:
    """Count the calls of a table of cells.

    Args:
        cells: one row a cell, with the columns ``label`` and ``flags`` (separated by ``;``).
        classes: the classes of the model.

    Raises:
        DataError: a label is the name of none of the classes.
    """
    names = [c.name for c in classes]
    unknown = sorted(set(cells["label"].to_list()) - set(names), key=str)
    if unknown:
        raise DataError(
            f"cells are called {', '.join(map(str, unknown))}, which is no class of the model "
            f"({', '.join(names)}); call them again with the same model that they are counted with"
        )
    flags = cells["flags"].cast(pl.String).fill_null("").str.split(";")
    unclassified = flags.list.contains(UNCLASSIFIED_FLAG)
    found = dict(cells["label"].filter(~unclassified).value_counts().iter_rows())
    return CellCounts(
        classes=tuple(classes),
        counts=tuple(int(found.get(name, 0)) for name in names),
        unclassified=int(unclassified.sum()),
        touching_edge=int(flags.list.contains(TOUCHES_EDGE_FLAG).sum()),
    )


def make_differential(cells: pl.DataFrame, classes: Sequence[CellClass], level: float = 0.95) -> Differential:
    """Return the differential of a table of cells.

    Args:
        cells: one row a cell, with the columns ``label`` and ``flags`` (separated by ``;``).
        classes: the classes of the model.
        level: probability of coverage of the intervals.

    Raises:
        DataError: a label is the name of none of the classes.
    """
    return make_differential_from_counts(count_cells(cells, classes), level)


def merge_differentials(differentials: Iterable[Differential], classes: Sequence[CellClass]) -> Differential:
    """Return the differential of all cells of several fields; of none, a differential without cells.

    Args:
        differentials: differentials of separate fields, all made with ``classes``; read one after the other.
        classes: the classes of the model.

    Raises:
        DataError: a differential was made with other classes or another level of intervals.
    """
    names = [c.name for c in classes]
    counts = [0] * len(names)
    unclassified = touching_edge = 0
    levels = set()
    for differential in differentials:
        if [line.name for line in differential.classes] != names:
            raise DataError(
                "differentials made with different classes cannot be added up; "
                "count all images again with one model"
            )
        counts = [have + line.count for have, line in zip(counts, differential.classes, strict=True)]
        unclassified += differential.unclassified.count
        touching_edge += differential.touching_edge_cells
        levels.add(differential.interval_level)
    if len(levels) > 1:
        raise DataError(
            f"differentials with intervals of different levels ({', '.join(map(str, sorted(levels)))}) "
            "cannot be added up; count all images again with one level"
        )
    merged = CellCounts(tuple(classes), tuple(counts), unclassified, touching_edge)
    return make_differential_from_counts(merged, *levels)


def make_differential_from_counts(counts: CellCounts, level: float = 0.95) -> Differential:
    """Return the differential of counted cells.

    Args:
        counts: counts of one field, or the sums over many.
        level: probability of coverage of the intervals.
    """
    by_name = {c.name: n for c, n in zip(counts.classes, counts.counts, strict=True)}
    lineages = {c.lineage for c in counts.classes}

    def total_of(*lineage: Lineage) -> int:
        return sum(by_name[c.name] for c in counts.classes if c.lineage in lineage)

    nucleated = sum(counts.counts) - total_of(Lineage.NOT_NUCLEATED) + counts.unclassified
    erythroid = total_of(Lineage.ERYTHROID)

    share = me_ratio = maturation = None
    if Lineage.ERYTHROID in lineages:
        share = _share_index("Erythroid share of nucleated cells", "40689-2", (erythroid, nucleated), level)
    if {Lineage.ERYTHROID, Lineage.GRANULOCYTIC} <= lineages:
        granulocytic = total_of(Lineage.GRANULOCYTIC)
        me_ratio = _ratio_index("M:E ratio", "11138-5", (granulocytic, erythroid), level)
    if {c.name for c in ERYTHROID_STAGES} <= by_name.keys():
        immature = by_name[PROERYTHROBLAST.name] + by_name[BASOPHILIC_ERYTHROBLAST.name]
        mature = by_name[POLYCHROMATIC_ERYTHROBLAST.name] + by_name[ORTHOCHROMATIC_ERYTHROBLAST.name]
        maturation = _ratio_index("Maturation index I:Me", None, (immature, mature), level)

    return Differential(
        interval_level=level,
        nucleated_cells=nucleated,
        erythroid_cells=erythroid,
        touching_edge_cells=counts.touching_edge,
        classes=tuple(_make_line(c, by_name[c.name], (nucleated, erythroid), level) for c in counts.classes),
        unclassified=_make_proportion(counts.unclassified, nucleated, level),
        erythroid_share=share,
        me_ratio=me_ratio,
        maturation_index=maturation,
    )


def _make_line(cell_class: CellClass, count: int, totals: tuple[int, int], level: float) -> ClassCount:
    nucleated, erythroid = totals
    is_nucleated = cell_class.lineage is not Lineage.NOT_NUCLEATED
    is_erythroid = cell_class.lineage is Lineage.ERYTHROID
    return ClassCount(
        name=cell_class.name,
        title=cell_class.title,
        lineage=cell_class.lineage,
        count=count,
        of_nucleated=_make_proportion(count, nucleated, level) if is_nucleated else None,
        of_erythroid=_make_proportion(count, erythroid, level) if is_erythroid else None,
    )


def _make_proportion(count: int, total: int, level: float) -> Proportion:
    fraction = count / total if total else None
    return Proportion(count, total, fraction, clopper_pearson(count, total, level))


def _share_index(title: str, loinc: str | None, counts: tuple[int, int], level: float) -> Index:
    share = _make_proportion(*counts, level)
    return Index(title, loinc, "share", *counts, share.fraction, share.interval)


def _ratio_index(title: str, loinc: str | None, counts: tuple[int, int], level: float) -> Index:
    numerator, denominator = counts
    value = numerator / denominator if denominator else None
    return Index(title, loinc, "ratio", *counts, value, ratio_interval(*counts, level))


@cache
def _adapter() -> TypeAdapter[Differential]:
    return TypeAdapter(Differential)
