"""What a differential is made of: counts, shares and indices, as counted and corrected, with their intervals.

In: nothing; these are the dataclasses that cross the folder's border. Out: a :class:`Differential`, which is
also what ``differential.json`` holds. "Raw" is what was called; "corrected" is an estimate of what was there,
given how often the model calls each true class what. A diagnosis is never stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from erythron.cells.classes import CellClass, Lineage
from erythron.differential.detection import Detection
from erythron.differential.intervals import Interval
from erythron.errors import DataError
from erythron.quality.flags import LOOKS_LIKE_BLOOD, CellsInView, LeftOutArea, QualityFlag

SCHEMA_VERSION: Literal[4] = 4
"""Version of the layout of ``differential.json``; it rises with every change that a reader would notice."""


@dataclass(frozen=True)
class CellCounts:
    """How many cells of one field were called what.

    Attributes:
        classes: the classes of the model, in the order of its outputs.
        counts: cells of each class, in the same order, unclassified cells left out.
        unclassified: cells called with less than the stated confidence, whatever their most probable class.
        touching_edge: cells among all the above that the border of their image cuts.
        left_out: cells in areas that are too thick or out of focus, which stand in none of the above.
        unclassified_as: the unclassified cells dealt out to the classes by their probabilities, in the order
            of ``classes``; it adds up to ``unclassified``, with nothing for classes that are not nucleated.
            Empty where nobody knows: each nucleated class then gets as much.
        confirmed: cells among ``counts`` that a person has called, in the same order; empty where none was.
    """

    classes: tuple[CellClass, ...]
    counts: tuple[int, ...]
    unclassified: int = 0
    touching_edge: int = 0
    left_out: int = 0
    unclassified_as: tuple[float, ...] = ()
    confirmed: tuple[int, ...] = ()

    @property
    def nucleated(self) -> int:
        """Nucleated cells that are counted, the unclassified ones among them."""
        by_class = zip(self.classes, self.counts, strict=True)
        return self.unclassified + sum(n for c, n in by_class if c.lineage is not Lineage.NOT_NUCLEATED)


@dataclass(frozen=True)
class Proportion:
    """A counted share: raw, with the error of sampling alone.

    Attributes:
        count: cells of the class.
        total: cells that the share is of.
        fraction: ``count / total``, 0 to 1; None where ``total`` is 0.
        interval: exact limits of the share of calls (Clopper-Pearson), 0 to 1.
        simultaneous: limits that hold for all lines of the table together (Goodman), 0 to 1.
    """

    count: int
    total: int
    fraction: float | None
    interval: Interval
    simultaneous: Interval


@dataclass(frozen=True)
class Estimate:
    """A corrected share or ratio: an estimate of the truth behind the calls.

    Attributes:
        value: best estimate; None where it is not defined.
        interval: combined limits, for the error of sampling and of the model together; None where not
            defined. The upper limit of a ratio is None where its denominator may be 0.
        bound: the limits if the unexplained unclassified cells were all of one side or all of the other, in
            place of what their probabilities say; None where there are no such cells.
    """

    value: float | None
    interval: tuple[float, float | None] | None
    bound: tuple[float, float | None] | None = None


@dataclass(frozen=True)
class ReferenceRange:
    """Limits between which an index or share lies in a stated population; no diagnosis follows from them.

    Attributes:
        low: lower limit, in the unit of the value it belongs to (fractions for shares); None for no limit.
        high: upper limit; None for no limit.
        population: whom it holds for.
        source: where it was published, or which laboratory states it.
    """

    low: float | None
    high: float | None
    population: str
    source: str


@dataclass(frozen=True)
class CellsNeeded:
    """How many more nucleated cells a question about a share or index takes, if the mix stays as counted.

    Attributes:
        of: name of the class (its share of the nucleated cells) or of the index.
        question: ``width``, the raw interval gets no wider than ``goal``; ``reference``, it gets wholly to
            one side of the reference limit ``goal``.
        goal: in the unit of the value: a fraction for a share, a ratio for a ratio.
        more: further cells to count; 0 where it is so already, None where more than
            :data:`erythron.differential.planning.MOST_CELLS` would not do.
    """

    of: str
    question: Literal["width", "reference"]
    goal: float
    more: int | None


@dataclass(frozen=True)
class ClassCount:
    """One line of a differential.

    Attributes:
        name: canonical name of the class.
        title: name as printed.
        lineage: lineage of the class.
        count: cells called so (raw).
        of_nucleated: raw share of the nucleated cells; None for a class that is not nucleated.
        of_erythroid: raw share of the erythroid cells; None for a class that is not erythroid.
        corrected_of_nucleated: corrected share of the nucleated cells; None as above, or without correction.
        corrected_of_erythroid: corrected share of the erythroid cells; None as above, or without correction.
        reference: range of the share of the nucleated cells; None where none is given.
        confirmed: cells among ``count`` that a person has called.
    """

    name: str
    title: str
    lineage: Lineage
    count: int
    of_nucleated: Proportion | None
    of_erythroid: Proportion | None
    corrected_of_nucleated: Estimate | None = None
    corrected_of_erythroid: Estimate | None = None
    reference: ReferenceRange | None = None
    confirmed: int = 0


@dataclass(frozen=True)
class Index:
    """An index of a differential.

    Attributes:
        name: snake_case name, as in ``summary.csv`` and the file of reference ranges.
        title: name as printed.
        loinc: code of the observation, or None where there is none.
        definition: what it is the share or ratio of, and whose definition that is.
        kind: ``share``, where the numerator is part of the denominator, or ``ratio`` of two separate counts.
        numerator: a count (raw).
        denominator: a count (raw).
        value: ``numerator / denominator``, a hundred times that where the title says so; None, that is "not
            defined", where ``denominator`` is 0.
        interval: exact limits of the raw value; for a share of no cell 0 to 1, for a ratio to no cell None.
        corrected: the corrected value with combined limits; None without correction.
        reference: its range; None where none is given.
    """

    name: str
    title: str
    loinc: str | None
    definition: str
    kind: Literal["share", "ratio"]
    numerator: int
    denominator: int
    value: float | None
    interval: Interval | None
    corrected: Estimate | None = None
    reference: ReferenceRange | None = None


@dataclass(frozen=True)
class Correction:
    """How the corrected figures were made, or why there are none.

    Attributes:
        method: of the estimate; None where the counts could not be corrected.
        reason: why there is no correction; None where there is one.
        confusion_cells: cells of the evaluation that the confusion matrix rests on.
        unclassified: how these cells enter: ``dealt``, by the model's rates and by their own probabilities,
            see :mod:`erythron.differential.mixes`; ``none``, there were none.
        unexplained: share of the nucleated cells that is unclassified beyond what the corrected mix leads to
            expect by its evaluation; 0 where that is not clear.
        overdispersion: variance of the calls between fields over that of chance; 1 with one field.
        detection: how often the segmentation finds a cell of each lineage, which the corrected shares are
            divided by; None where that was not measured, and missed cells are not corrected for.
        draws: draws of the bootstrap.
        seed: of the draws.
        over: what was drawn: ``cells`` and the confusion matrix, or ``fields``, cells and that matrix.
    """

    method: str | None
    reason: str | None
    confusion_cells: int = 0
    unclassified: Literal["dealt", "none"] = "none"
    unexplained: float = 0.0
    overdispersion: float = 1.0
    detection: Detection | None = None
    draws: int = 0
    seed: int = 0
    over: Literal["cells", "fields"] = "cells"


@dataclass(frozen=True, kw_only=True)
class Differential:
    """A differential count.

    An unclassified cell stands in the total of nucleated cells and is counted in no class. So the raw share
    of every class is of all nucleated cells, and the raw shares of the classes and of the unclassified cells
    add up to one. The indices are of classified cells: an unclassified cell is on neither of their sides.
    The corrected shares of the classes add up to one without the unclassified. Classes that are not nucleated
    are reported but stand outside the total. Cells that the image's border cuts are counted; cells in areas
    left out are not.

    Attributes:
        schema_version: version of the layout.
        interval_method: of the raw intervals; that of a ratio is given the sum of its two counts.
        simultaneous_method: of the raw intervals that hold for all lines together.
        combined_method: of the corrected intervals.
        interval_level: probability of coverage of every interval.
        fields: fields that the cells were counted in.
        nucleated_cells: the total.
        erythroid_cells: cells called an erythroid class.
        touching_edge_cells: cells that the border of an image cuts.
        classes: one line a class, in the order of the model's outputs.
        unclassified: cells called with less than the stated confidence.
        unclassified_as: these cells dealt out to the classes by their probabilities, in the order of
            ``classes``; fields can be added up with it.
        erythroid_share: erythroid cells of the classified nucleated cells; None where the model has no
            erythroid class.
        me_ratio: myeloid to erythroid cells, by the stated definition; None where the model has no
            granulocytic or no erythroid class.
        maturation_index: (pro- + basophilic) to (polychromatic + orthochromatic) erythroblasts; None, as
            the next two, where the model does not tell these four stages.
        proliferation_ratio: erythroblasts that divide to those that only mature.
        left_shift: pro- and basophilic erythroblasts of all erythroid cells.
        nucleated_red_cells: erythroid cells to all other nucleated ones, value and interval times a hundred;
            only where the specimen looks like blood, and the indices of marrow then have no value.
        correction: how the corrected figures were made.
        count_more: cells still needed, for the erythroid stages; none where the specimen looks like blood.
        flags: quality of the specimen; empty where nothing is to be said.
        left_out_cells: cells in areas left out; they are in no count.
        left_out: areas in which no cell was counted; of several fields together always empty.
        left_out_fraction: share of the area that shows an image which is out of focus or too thick; of
            several fields the mean.
        in_view: how many nucleated and red cells the fields show; None where that is not known.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[4] = SCHEMA_VERSION
    interval_method: Literal["clopper_pearson"] = "clopper_pearson"
    simultaneous_method: Literal["goodman"] = "goodman"
    combined_method: Literal["bayesian_bootstrap"] = "bayesian_bootstrap"
    interval_level: float
    fields: int = 1
    nucleated_cells: int
    erythroid_cells: int
    touching_edge_cells: int
    classes: tuple[ClassCount, ...]
    unclassified: Proportion
    unclassified_as: tuple[float, ...]
    erythroid_share: Index | None
    me_ratio: Index | None
    maturation_index: Index | None
    proliferation_ratio: Index | None = None
    left_shift: Index | None = None
    nucleated_red_cells: Index | None = None
    correction: Correction
    count_more: tuple[CellsNeeded, ...] = ()
    flags: tuple[QualityFlag, ...] = ()
    left_out_cells: int = 0
    left_out: tuple[LeftOutArea, ...] = ()
    left_out_fraction: float = 0.0
    in_view: CellsInView | None = None

    @property
    def indices(self) -> tuple[Index, ...]:
        """The indices that the model's classes allow, in the order of a report."""
        known = (
            self.erythroid_share,
            self.me_ratio,
            self.maturation_index,
            self.proliferation_ratio,
            self.left_shift,
            self.nucleated_red_cells,
        )
        return tuple(index for index in known if index is not None)

    @property
    def looks_like_blood(self) -> bool:
        """Whether the specimen looks like blood: no range and no plan of marrow is of it."""
        return any(flag.name == LOOKS_LIKE_BLOOD for flag in self.flags)

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


@cache
def _adapter() -> TypeAdapter[Differential]:
    return TypeAdapter(Differential)
