"""What is stored of each counted image, so that a run can be continued, summed and reported."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from erythron.read.image import ScaleSource

CELLS = "cells.csv"
GEOJSON = "cells.geojson"
DIFFERENTIAL = "differential.json"
OVERLAY = "overlay.png"
RECORD = "record.json"


class ImageRecord(BaseModel):
    """Where one image's results come from.

    Attributes:
        image: path as the user gave it.
        sha256: hash of the file.
        fingerprint: hash over file, settings, model and version.
        width_px: width of the image.
        height_px: height of the image.
        mpp: microns per pixel, or None where unknown.
        mpp_source: where the scale comes from.
        mpp_interval: 95 % interval of a scale estimated from red cells.
        red_cells: how many red cells that estimate rests on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    sha256: str
    fingerprint: str
    width_px: int
    height_px: int
    mpp: float | None
    mpp_source: ScaleSource
    mpp_interval: tuple[float, float] | None
    red_cells: int | None


def read_record(folder: Path) -> ImageRecord | None:
    """Return the record of a finished image folder, or None where there is no readable one."""
    try:
        return ImageRecord.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
