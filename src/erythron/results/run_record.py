"""What ``run.json`` holds: what a count was told, of which images, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from erythron.quality.flags import TARGET_CELLS
from erythron.report.model import FailedInput
from erythron.results.record import FieldRecord


@dataclass(frozen=True)
class RunSettings:
    """What a count was told, as ``run.json`` keeps it, so that it can be done again with the same.

    Attributes:
        model: bundle folder as given; None for the shipped one.
        mpp: microns per pixel as given; None where the files say them.
        reference: file of reference ranges as given; None for the shipped ones.
        width: of a stage's interval that "count more" aims at, 0 to 1.
        runtime: what computed the networks.
        me_ratio: definition of M:E.
        cells: nucleated cells after which the count of a slide ended.
        whole: whether slides were counted whole.
        region: file of the polygons that were counted inside on slides, as given; None for none.
        seed: of what was sampled on slides.
    """

    model: str | None
    mpp: float | None
    reference: str | None
    width: float
    runtime: str
    me_ratio: str
    cells: int = TARGET_CELLS
    whole: bool = False
    region: str | None = None
    seed: int = 0


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelUsed(_Record):
    """The model of a run.

    Attributes:
        name: its name and version.
        sha256: hash of its files.
    """

    name: str
    sha256: str


class RunRecord(_Record):
    """``run.json`` of a run without specimens, or of one specimen.

    Attributes:
        schema_version: of this file's layout.
        command: what was run.
        started: when, with a time zone.
        finished: when summary and page were there; null in a run that was interrupted.
        seconds: from the start to the writing of this file.
        model: what called the cells.
        details: what else the user said of the specimen, such as its date or stain.
        settings: of the run, as the page prints them.
        told: what the count was told, to be done again with the same.
        versions: of erythron and of the programs that it rests on.
        python: version of Python.
        platform: operating system and processor.
        inputs: the images, as the user gave them.
        done: the record of each image that was counted.
        failures: the images that could not be counted, with the reason.
    """

    schema_version: Literal[3] = 3
    command: Literal["count"] = "count"
    started: AwareDatetime
    finished: AwareDatetime | None
    seconds: float
    model: ModelUsed
    details: dict[str, str]
    settings: dict[str, str]
    told: RunSettings
    versions: dict[str, str]
    python: str
    platform: str
    inputs: tuple[str, ...]
    done: tuple[FieldRecord, ...]
    failures: tuple[FailedInput, ...]


class SpecimensRecord(_Record):
    """``run.json`` of a run over several specimens; in the folder of each lies a :class:`RunRecord`.

    Attributes:
        schema_version: of this file's layout.
        command: what was run.
        finished: when the summary was there; null in a run that was interrupted.
        told: what the count was told, to be done again with the same.
        inputs: the images of all specimens, as the user gave them.
        specimens: the images of each, by its name.
        failures: the images that could not be counted, with the reason.
    """

    schema_version: Literal[3] = 3
    command: Literal["count"] = "count"
    finished: AwareDatetime | None
    told: RunSettings
    inputs: tuple[str, ...]
    specimens: dict[str, tuple[str, ...]]
    failures: tuple[FailedInput, ...]
