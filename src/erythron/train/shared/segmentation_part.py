"""The segmentation network of a run: what its bundle will outline cells with, kept in the run's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from erythron.bundle.folder import SEGMENTATION, Bundle
from erythron.bundle.schema import DataSource, Estimate, FoundByLineage, SegmenterCard
from erythron.errors import DataError
from erythron.files.writing import whole_file, write_file

FOLDER = "segmentation"
_FACTS = "segmentation.json"


class SegmentationPart(BaseModel):
    """What a bundle states of its segmentation network.

    Attributes:
        card: how it is used.
        outlines: figures of its outlines.
        origin: where it comes from, in words.
        data: what it learned from.
        detection: how often it finds cells, where that was measured.
        export_difference: largest difference of a probability between torch and OpenVINO.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: SegmenterCard
    outlines: dict[str, Estimate]
    origin: str
    data: tuple[DataSource, ...]
    detection: FoundByLineage | None = None
    export_difference: float


def take_segmentation(bundle: Bundle, run: Path) -> None:
    """Keep the segmentation network of a bundle in a run's folder."""
    card = bundle.card
    origin = card.outlines_from
    if "taken from" not in origin:
        origin = f"taken from {card.name} {card.version}, as are its figures"
    part = SegmentationPart(
        card=card.segmenter,
        outlines=card.outlines,
        origin=origin,
        data=card.outline_data,
        detection=card.detection,
        export_difference=card.export_difference,
    )
    with whole_file(run / FOLDER / SEGMENTATION) as partial:
        shutil.copyfile(bundle.segmentation_path, partial)
    store_facts(part, run)


def store_facts(part: SegmentationPart, run: Path) -> None:
    """Write what a bundle will state of the segmentation network beside its file."""
    write_file(run / FOLDER / _FACTS, part.model_dump_json(indent=1) + "\n")


def read_segmentation(run: Path) -> tuple[SegmentationPart, Path]:
    """Return what a run keeps of its segmentation network, and the network's file.

    Raises:
        DataError: it is missing or damaged.
    """
    path = run / FOLDER / _FACTS
    try:
        part = SegmentationPart.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: cannot be read ({error}); train again") from error
    return part, run / FOLDER / SEGMENTATION
