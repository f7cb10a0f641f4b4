"""What a report is made of. Built where work runs, read by the page and the tables."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

from pydantic import ConfigDict

from erythron.cells.table import UNCLASSIFIED
from erythron.differential.counts import Differential
from erythron.read.image import ScaleSource

Corners = tuple[tuple[int, int], ...]
"""Corners (x, y) of a closed line in whole pixels, the first not repeated."""


@dataclass(frozen=True)
class Picture:
    """An encoded JPEG.

    Attributes:
        data: the file's bytes.
        width_px: width.
        height_px: height.
    """

    data: bytes
    width_px: int
    height_px: int

    @property
    def data_uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/jpeg;base64," + b64encode(self.data).decode("ascii")


@dataclass(frozen=True)
class GalleryCell:
    """One cell of the gallery.

    Attributes:
        image: the image that it was cut from, as the user gave it.
        cell_id: name of the cell in that image.
        label: its class as it is counted; the most probable one where it is unclassified.
        confidence: probability of that class, 0 to 1.
        unclassified: whether the confidence was under the stated limit, or a person called the cell so.
        crop: the cell at the centre, without any outline.
        side_px: width and height of the crop in pixels of the image.
        around: corners (x, y) of a line around the cell, which touches no pixel of it; in pixels of the image
            from the crop's upper left corner.
        words: its call, confidence and measurements, one sentence after another.
        model_label: the class that is most probable to the model, where a person called the cell; empty where
            the model's call stands. The confidence is of this one then.
    """

    image: str
    cell_id: str
    label: str
    confidence: float
    unclassified: bool
    crop: Picture
    side_px: int
    around: Corners
    words: str = ""
    model_label: str = ""

    @property
    def group(self) -> str:
        """The line of the differential that counts the cell: its label, or ``unclassified``."""
        return "unclassified" if self.unclassified else self.label


@dataclass(frozen=True)
class CellMark:
    """One outlined cell of a field that the page shows.

    Attributes:
        cell_id: name of the cell in its image.
        group: the line of the differential that counts it, or ``left_out``.
        rings: outlines of cell and nucleus, corners (x, y) in pixels of the image, the first not repeated.
        words: its call, confidence and measurements, one sentence after another.
    """

    cell_id: str
    group: str
    rings: tuple[Corners, ...]
    words: str


@dataclass(frozen=True)
class GroupSpread:
    """How one measurement is spread over the cells of one line of the differential.

    Attributes:
        group: name of the line.
        count: cells measured.
        quartiles: lower quartile, median, upper quartile.
        shown: some of the values, evenly by rank, at most as many as a strip can show.
    """

    group: str
    count: int
    quartiles: tuple[float, float, float]
    shown: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """One measurement by stage.

    Attributes:
        title: its name with its unit.
        groups: the stages that have cells, in order of maturation.
        end: end of the axis, which starts at 0; larger values are drawn at the end.
    """

    title: str
    groups: tuple[GroupSpread, ...]
    end: float


@dataclass(frozen=True)
class FieldPage:
    """What the page shows of one field; made from its pixels once, and stored beside its results.

    Attributes:
        picture: the field without outlines.
        marks: its cells, to be drawn over the picture.
        gallery: crops of its cells, of each class the most doubtful; of a slide a random sample of each.
        note: what the picture shows where it is no field; mostly nothing.
    """

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    picture: Picture
    marks: tuple[CellMark, ...]
    gallery: tuple[GalleryCell, ...]
    note: str = ""


@dataclass(frozen=True)
class OutlineEdits:
    """Changes of outlines by persons, as they stand now.

    Attributes:
        added: cells that a person outlined, whoever called them.
        called_by_model: those among them that no person has called.
        removed: outlines of the model that a person said to be no cell.
        split: those among the removed in whose place several cells were outlined at the same time.
        merged: those among the removed that became one cell with another at the same time.
    """

    added: int = 0
    called_by_model: int = 0
    removed: int = 0
    split: int = 0
    merged: int = 0

    def __add__(self, other: OutlineEdits) -> OutlineEdits:
        return OutlineEdits(
            self.added + other.added,
            self.called_by_model + other.called_by_model,
            self.removed + other.removed,
            self.split + other.split,
            self.merged + other.merged,
        )


@dataclass(frozen=True)
class ReviewReport:
    """What persons made of the calls of one field, or of all fields of a run.

    Attributes:
        readers: who called cells, and how many.
        last_at: when the last call was taken in, with a time zone.
        calls: what the model counted a cell as, what the person called it, and the number of such cells;
            ``missed`` is the model's for a cell that a person added.
        by_model: the differential of the model's calls alone.
        disputed: cells that readers called otherwise than one another: the cell, and what each called it;
            the last one is counted.
        outlines: what persons changed of the outlines.
    """

    readers: tuple[tuple[str, int], ...]
    last_at: datetime
    calls: tuple[tuple[str, str, int], ...]
    by_model: Differential
    disputed: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    outlines: OutlineEdits = OutlineEdits()

    @property
    def confirmed(self) -> int:
        """Cells that a person has called."""
        return sum(count for _, _, count in self.calls)

    @property
    def confirmed_nucleated(self) -> int:
        """Cells among them that a person has called nucleated cells, of a class or of none."""
        of_total = {line.name for line in self.by_model.classes if line.of_nucleated is not None}
        return sum(count for _, after, count in self.calls if after in of_total or after == UNCLASSIFIED)

    def count_called(self, name: str) -> int:
        """Return how many cells a person has called so."""
        return sum(count for _, after, count in self.calls if after == name)

    @property
    def changed(self) -> int:
        """Cells among them that the model had called otherwise, or missed."""
        return sum(count for before, after, count in self.calls if before != after)


@dataclass(frozen=True)
class FieldReport:
    """One counted image.

    Attributes:
        image: the path as the user gave it.
        width_px: width of the image.
        height_px: height of the image.
        mpp: microns per pixel, None where unknown.
        mpp_source: where ``mpp`` comes from.
        mpp_interval: limits of ``mpp`` where it was estimated.
        differential: its differential.
        page: what the page shows of it; None where it stands in the table of images only.
        review: what persons made of its calls, None where nobody called a cell.
        title: what a reader is shown in place of the path; empty where the path is shown.
    """

    image: str
    width_px: int
    height_px: int
    mpp: float | None
    mpp_source: ScaleSource
    differential: Differential
    page: FieldPage | None = None
    mpp_interval: tuple[float, float] | None = None
    review: ReviewReport | None = None
    title: str = ""


@dataclass(frozen=True)
class FailedInput:
    """An input that could not be counted: its path as the user gave it, and the reason with the next step."""

    image: str
    reason: str


@dataclass(frozen=True)
class RepeatedInput:
    """An input with the same pixels as one before, which is counted once.

    Attributes:
        image: the path as the user gave it.
        same_as: the path of the one that is counted.
    """

    image: str
    same_as: str


@dataclass(frozen=True)
class Entry:
    """A setting or a version: a name and its value, as printed."""

    name: str
    value: str


@dataclass(frozen=True)
class SignedVersion:
    """A signature of a result.

    Attributes:
        version: 1 for the first.
        reader: who signed, as that person gave the name.
        at: when, with a time zone.
        nucleated_cells: cells of the signed differential.
        confirmed_cells: those of the nucleated cells that a person had called.
    """

    version: int
    reader: str
    at: datetime
    nucleated_cells: int
    confirmed_cells: int


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """One run over one or many images.

    Attributes:
        specimen: what was counted, as the user names it, such as a file's or folder's name.
        made_at: when, with a time zone.
        details: what else the user says of the specimen, such as its date, stain or reader.
        differential: of all fields together.
        review: what persons made of the calls of all fields, None where nobody called a cell.
        fields: the counted images, in the order given.
        failed: the inputs that could not be counted.
        distributions: measurements by stage.
        unclassified_under: confidence under which a call is unclassified, 0 to 1.
        segmenter: how cells were outlined, as the end of "outlined by …".
        model_name: name of the model.
        model_sha256: hash of the model's files.
        settings: further settings of the run.
        versions: of the program and its parts.
    """

    specimen: str
    made_at: datetime
    differential: Differential
    fields: tuple[FieldReport, ...]
    failed: tuple[FailedInput, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    unclassified_under: float
    segmenter: str
    model_name: str
    model_sha256: str
    settings: tuple[Entry, ...] = ()
    versions: tuple[Entry, ...] = ()
    details: tuple[Entry, ...] = ()
    review: ReviewReport | None = None
    signed: tuple[SignedVersion, ...] = ()
    is_signed: bool = False
