"""What ``model.json`` of a bundle holds; the JSON schema is generated from these classes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from erythron.cells.classes import Lineage

Probability = Annotated[float, Field(ge=0, le=1)]
Mpp = Annotated[float, Field(ge=0.01, le=10)]
"""Microns per pixel, within what a light microscope or a resampled image of it can have."""
Micrometres = Annotated[float, Field(gt=0, le=1000)]
"""A length in a smear; the largest cell of marrow measures some 160 um."""
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f<>]+$")]
"""Text of one line that pages and tables show."""
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
"""Name of a file in the bundle's own folder."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


RESERVED_CLASSES = frozenset({"unclassified", "left_out", "nucleus"})
"""What tables and labels call cells that are in no class, and the part of one."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelClass(_Model):
    """One output; ``prior`` is its share of the training cells whose class is known."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    title: Line
    lineage: Lineage
    prior: Probability


class Framing(_Model):
    """How a cell becomes an input: a square of ``input_px`` at ``input_mpp`` around its nucleus.

    Where the scale is unknown, an image with a shorter side of at most ``crop_max_px`` is a single-cell
    crop and that side shows ``crop_width_um``; a larger image is a field at ``field_mpp``.
    """

    input_px: Annotated[int, Field(ge=32, le=1024)]
    input_mpp: Mpp
    crop_width_um: Micrometres
    crop_max_px: Annotated[int, Field(ge=16, le=4096)]
    field_mpp: Mpp


Level = Annotated[float, Field(ge=-1, le=2)]
Spread = Annotated[float, Field(ge=0.01, le=10)]


class Normalisation(_Model):
    """``(pixel / 255 - mean) / sd`` per channel, after division by the empty smear's colour."""

    mean: tuple[Level, Level, Level]
    sd: tuple[Spread, Spread, Spread]


class SegmenterCard(_Model):
    """How the segmentation network is used.

    Maxima of the nuclear stain, blurred with a standard deviation of ``stain_blur_um`` at ``stain_mpp``,
    above ``least_stain`` are candidate points. The network sees a square of ``window_px`` at ``window_mpp``
    around each, and once more around the nucleus where that lies over ``recentre_um`` away. In a field
    ``field_window_mpp`` and ``field_least_stain`` stand in their place where they are given: the network
    tells nuclei that touch apart where it sees them larger. A cell counts where its score is at least
    ``least_score``, its nucleus at least ``least_nucleus_um2`` large and shared by a surer cell to at most
    ``most_overlap`` of the smaller nucleus. In a crop, the trust in a cell falls with its distance from the
    middle as a normal curve with a standard deviation of ``central_spread`` half sides; where the crop's
    scale is only assumed, the outline is the mean of the ``assumed_kept`` surest of those at
    ``assumed_shares`` of it.
    """

    stain_mpp: Mpp
    stain_blur_um: Annotated[float, Field(gt=0, le=50)]
    least_stain: Probability
    window_px: Annotated[int, Field(ge=32, le=512)]
    window_mpp: Mpp
    field_window_mpp: Mpp | None = None
    field_least_stain: Probability | None = None
    recentre_um: Micrometres
    least_score: Probability
    least_nucleus_um2: Annotated[float, Field(ge=0, le=10_000)]
    most_overlap: Probability
    central_spread: Annotated[float, Field(ge=0.01, le=10)]
    assumed_shares: Annotated[
        tuple[Annotated[float, Field(ge=0.1, le=2)], ...], Field(min_length=1, max_length=32)
    ]
    assumed_kept: Annotated[int, Field(ge=1, le=32)]


class MaskInput(StrEnum):
    """Which planes of a cell's mask the classifier takes; ``hull`` is the convex hull of the cell."""

    NUCLEUS_CELL = "nucleus_cell"
    CELL = "cell"
    HULL = "hull"
    NONE = "none"


class MeasurementStatistic(_Model):
    """Mean and standard deviation of one measurement over the training cells.

    A network that takes measurements takes ``(value - mean) / sd``, clipped to ``measurement_limit``
    deviations. Whether it takes them or not, the stain of a smear is compared with these.
    """

    name: str
    mean: float
    sd: Annotated[float, Field(gt=0)]


class Estimate(_Model):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Method(StrEnum):
    """How cells that are judged were kept apart from those that were trained on.

    ``cross_validation``: each was called by a network fitted without its fold. ``test_part``: they are a part
    of the split that training did not read.
    """

    CROSS_VALIDATION = "cross_validation"
    TEST_PART = "test_part"


class WithWithout(_Model):
    """A figure of cells that were not trained on, by training with a source and without; null where none."""

    with_source: Probability | None
    without: Probability | None


class SetFigures(_Model):
    """What one training set adds, and how well its own cells are called.

    ``erythroid_auc`` tells erythroid cells from others, as area under the curve, of cells called by networks
    that had not seen them, ``unseen_erythroid_auc`` of those that had seen no cell of the source: of this set
    and the others of its laboratory. Both are null where the set holds only one of the two. ``labels`` counts
    its cells by what its labels are. ``own`` are figures of its own cells, ``judged`` of the judged cells of
    all other sources, both by trainings with and without its source.
    """

    cells: Annotated[int, Field(ge=0)]
    erythroid_auc: Probability | None
    unseen_erythroid_auc: Probability | None
    labels: dict[str, Annotated[int, Field(ge=1)]] = {}
    own: dict[str, WithWithout] = {}
    judged: dict[str, WithWithout] = {}


class Evaluation(_Model):
    """Results on judged cells, none of which was called by a network that had seen it.

    ``folds`` is 1 where the method is a test part. ``confusion`` has a row for each of ``true_classes`` and
    a column a class, by the most probable class of every cell. ``confident_confusion`` counts the same cells
    as a smear is counted: calls under ``unclassified_below`` stand in a last column of their own.
    """

    method: Method
    folds: Annotated[int, Field(ge=1)]
    cells: Annotated[int, Field(ge=1)]
    groups: Annotated[int, Field(ge=1)]
    true_classes: tuple[str, ...]
    confusion: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...]
    confident_confusion: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...]
    figures: dict[str, Estimate]
    by_set: dict[str, SetFigures] = {}


class FoundCells(_Model):
    """Cells that a reader drew in fields, and how many of them the segmentation network found."""

    found: Annotated[int, Field(ge=0)]
    drawn: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _check(self) -> FoundCells:
        if self.found > self.drawn:
            raise ValueError(f"of {self.drawn} drawn cells {self.found} cannot have been found")
        return self


class FoundByLineage(_Model):
    """How often cells are found; ``source`` says in which fields and by which command it was measured."""

    erythroid: FoundCells
    other: FoundCells
    source: str


class DataSource(_Model):
    """Where a set comes from and under which licence."""

    name: str
    licence: str
    source: str


class DataUsed(DataSource):
    """One training set of the classifier; ``rows_hash`` covers content, class and group of every row."""

    cells: Annotated[int, Field(ge=1)]
    rows_hash: Sha256


class SelfTest(_Model):
    """A stored cell and what the classifier says of it."""

    image: FileName
    mask: FileName
    mpp: Mpp
    probabilities: tuple[Probability, ...]
    tolerance: Annotated[float, Field(gt=0, lt=0.1)]


class ModelCard(_Model):
    """All of ``model.json``.

    ``kind`` is that of the recipe and ``description`` says in words what the classifier is. ``temperature``
    and ``unclassified_below`` were chosen on the cells that ``calibrated_on`` names. ``outlines`` are
    figures of the segmentation network, ``outlines_from`` says where it comes from and ``outline_data`` what
    it learned from. ``detection`` is how often it finds a cell of each lineage; null where that was not
    measured, and then no corrected share allows for missed cells. ``limits`` are sentences of those who know
    the data.
    """

    schema_version: Literal[3]
    name: Line
    version: Line
    kind: Literal["frozen_encoder", "fine_tuned"]
    description: str
    classes: Annotated[tuple[ModelClass, ...], Field(min_length=2, max_length=200)]
    framing: Framing
    segmenter: SegmenterCard
    normalisation: Normalisation
    outlines: dict[str, Estimate]
    outlines_from: str
    outline_data: tuple[DataSource, ...]
    detection: FoundByLineage | None = None
    mask_input: MaskInput
    takes_measurements: bool
    measurements: Annotated[tuple[MeasurementStatistic, ...], Field(min_length=1)]
    measurement_limit: Annotated[float, Field(gt=0, le=1000)]
    temperature: Annotated[float, Field(ge=0.01, le=100)]
    unclassified_below: Probability
    unclassified_rule: str
    calibrated_on: str
    evaluation: Evaluation
    data: Annotated[tuple[DataUsed, ...], Field(min_length=1)]
    split_hash: Sha256
    seed: int
    export_difference: Annotated[float, Field(ge=0)]
    software: dict[str, str]
    self_test: SelfTest
    files: dict[FileName, Sha256]
    limits: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_sizes(self) -> ModelCard:
        count = len(self.classes)
        if len({c.name for c in self.classes}) != count:
            raise ValueError("two classes have one name")
        if taken := {c.name for c in self.classes} & RESERVED_CLASSES:
            raise ValueError(f"a class cannot be called {min(taken)}, which tables use otherwise")
        if unlisted := {self.self_test.image, self.self_test.mask} - set(self.files):
            raise ValueError(f"the stored cell's {min(unlisted)} is not among the files")
        if len(self.self_test.probabilities) != count:
            raise ValueError(f"self_test has {len(self.self_test.probabilities)} probabilities, not {count}")
        rows = self.evaluation.confusion
        if len(rows) != len(self.evaluation.true_classes) or any(len(r) != count for r in rows):
            raise ValueError(
                "confusion does not have a row for every true class and a column for every class"
            )
        confident = self.evaluation.confident_confusion
        if len(confident) != len(rows) or any(
            len(c) != count + 1 or sum(c) != sum(r) for c, r in zip(confident, rows, strict=True)
        ):
            raise ValueError("confident_confusion does not count the cells of confusion, one column more")
        if len({m.name for m in self.measurements}) != len(self.measurements):
            raise ValueError("two measurements have one name")
        return self
