"""What is stored of each counted field beside its results, so that a run can be continued and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from erythron.files.reading import read_content
from erythron.quality.flags import FieldQuality
from erythron.read.image import ScaleSource
from erythron.results.fingerprint import Fingerprints

CELLS = "cells.csv"
GEOJSON = "cells.geojson"
DIFFERENTIAL = "differential.json"
OVERLAY = "overlay.png"
PAGE = "page.json"
RECORD = "record.json"


class SlideRecord(BaseModel):
    """How a slide was counted.

    Attributes:
        scope: ``cells``, the best areas until there were enough; ``whole``; or ``region``.
        cells_wanted: nucleated cells after which the count ended; None where all of a slide or region was
            counted.
        seed: of whatever was sampled.
        region_sha256: of the file of polygons; empty where there was none.
        block_px: side of the blocks that it was segmented by.
        working_mpp: microns per pixel that the networks were told.
        areas: what was counted: left, top, right and bottom edge of each area in pixels of the slide. They
            are the fields of its differential.
        area_cells: how many rows of ``cells.csv`` are of each area; those of an area follow one another, and
            cells that persons added stand after all.
        counted_mm2: area that was counted, without the blank glass that was passed over and what of the areas
            lies outside the region.
        glass: red, green and blue of the empty smear, 1 to 255.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Literal["cells", "whole", "region"]
    cells_wanted: int | None
    seed: int
    region_sha256: str = ""
    block_px: int
    working_mpp: float
    areas: tuple[tuple[int, int, int, int], ...]
    area_cells: tuple[int, ...]
    counted_mm2: float
    glass: tuple[float, float, float]


class FieldRecord(BaseModel):
    """Where one field's results come from.

    Attributes:
        schema_version: of this file's layout.
        image: path as the user gave it.
        title: what a reader is shown in place of the path; empty where the path is shown.
        sha256: hash of the image file.
        fingerprints: of each step.
        pixels_sha256: hash of its size and decoded pixels, alike for copies in other files.
        cells_sha256: hash of ``cells.csv`` as it was written, so that an edit is noticed.
        differential_sha256: hash of ``differential.json`` as it was written; empty in results of before.
        review_sha256: hash of what persons called the cells, as in ``cells.csv``; empty where nobody did.
        width_px: width of the image.
        height_px: height of the image.
        mpp: microns per pixel, or None where unknown.
        mpp_source: where the scale comes from.
        mpp_interval: 95 % interval of a scale estimated from red cells or nuclei.
        red_cells: how many red cells that estimate rests on.
        nuclei: how many nuclei that estimate rests on.
        quality: what the image showed.
        slide: how it was counted where it is a slide; None for a field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[3] = 3
    image: str
    title: str = ""
    sha256: str
    fingerprints: Fingerprints
    pixels_sha256: str
    cells_sha256: str = ""
    differential_sha256: str = ""
    review_sha256: str = ""
    width_px: int
    height_px: int
    mpp: float | None
    mpp_source: ScaleSource
    mpp_interval: tuple[float, float] | None
    red_cells: int | None
    nuclei: int | None = None
    quality: FieldQuality
    slide: SlideRecord | None = None


def read_record(folder: Path) -> FieldRecord | None:
    """Return the record of a finished field's folder, or None where there is no readable one."""
    try:
        return FieldRecord.model_validate_json(read_content(folder / RECORD))
    except (OSError, ValidationError):
        return None


def explain_unreadable(folder: Path) -> str:
    """Return why :func:`read_record` has none of a folder, and the next step, as the end of a sentence."""
    wanted = FieldRecord.model_fields["schema_version"].default
    try:
        found = json.loads(read_content(folder / RECORD)).get("schema_version", wanted)
    except (OSError, ValueError, AttributeError):
        found = wanted
    if found == wanted:
        return f"has no readable {RECORD}; count the image again with --force"
    return (
        f"its {RECORD} is of another version of erythron (layout {found}, this one reads {wanted}); read it "
        "with that version, or count the image again with --force"
    )
