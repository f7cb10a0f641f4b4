"""A small run with drawn discs as cells."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cells.outline import outlines_from_labels
from erythron.cells.table import count_as
from erythron.differential.assemble import DifferentialSettings, make_differential, merge_differentials
from erythron.differential.counts import Differential
from erythron.interchange.geojson import CellRings, trace_cells
from erythron.pipeline.settings import choose_settings
from erythron.read.image import ScaleSource
from erythron.report.distributions import make_distributions
from erythron.report.field_page import make_field_page
from erythron.report.marks import make_marks
from erythron.report.model import Entry, FailedInput, FieldReport, RunReport
from erythron.report.page import MAX_FIELDS_IN_FULL

HOSTILE_NAME = '<img src="x" onerror="alert(1)">.png'


class Field:
    """Twelve discs in a grid, one of each default class and two more, of which one is unclassified."""

    def __init__(self) -> None:
        self.rgb: NDArray[np.uint8] = np.full((240, 320, 3), 220, dtype=np.uint8)
        rows, columns = np.mgrid[:240, :320]
        cell = np.zeros((240, 320), np.int32)
        nucleus = np.zeros((240, 320), np.int32)
        labels = [*(c.name for c in DEFAULT_CLASSES), "granulocyte", "granulocyte"]
        places = [(40 + 80 * (i % 4), 40 + 80 * (i // 4)) for i in range(12)]
        for index, (x, y) in enumerate(places):
            distance = np.hypot(columns - x, rows - y)
            cell[distance < 30] = nucleus[distance < 15] = index + 1
        self.outlines = outlines_from_labels(nucleus, cell)
        self.rings: list[CellRings] = trace_cells(self.outlines)
        self.cells = pl.DataFrame(
            {
                "image": ["a.png"] * 12,
                "cell_id": [outline.cell_id for outline in self.outlines],
                "x_px": [float(x) for x, _ in places],
                "y_px": [float(y) for _, y in places],
                "width_px": [59] * 12,
                "height_px": [59] * 12,
                "label": labels,
                "cell_diameter_um": [8.0 + i for i in range(12)],
                "cell_diameter_px": [59.0] * 12,
                "nucleus_diameter_um": [6.0] * 12,
                "nc_ratio": [0.5 + 0.1 * i for i in range(12)],
                "confidence": [0.9 - 0.02 * i for i in range(11)] + [0.3],
                "flags": [""] * 11 + ["unclassified"],
            }
        ).with_columns(count_as())
        self.marks = make_marks(self.rings, self.cells)


@pytest.fixture(scope="session")
def field() -> Field:
    return Field()


@cache
def get_settings() -> DifferentialSettings:
    return choose_settings(load_bundle(None))


@cache
def count_fields(field: Field, fields: int, *, empty: bool) -> Differential:
    """Return the differential of a field, or of several that are alike."""
    if fields == 1:
        return make_differential(field.cells.clear() if empty else field.cells, get_settings())
    return merge_differentials([count_fields(field, 1, empty=empty)] * fields, get_settings())


def make_report(field: Field, names: list[str], *, empty: bool = False) -> RunReport:
    cells = field.cells.clear() if empty else field.cells
    found = count_fields(field, 1, empty=empty)
    fields = tuple(
        FieldReport(
            name,
            320,
            240,
            None,
            ScaleSource.UNKNOWN,
            found,
            make_field_page(
                field.rgb,
                cells.with_columns(image=pl.lit(name)),
                [] if empty else field.rings,
                min(len(names), MAX_FIELDS_IN_FULL),
            )
            if number < MAX_FIELDS_IN_FULL
            else None,
        )
        for number, name in enumerate(names)
    )
    return RunReport(
        specimen="A-1",
        made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        differential=count_fields(field, len(fields), empty=empty),
        fields=fields,
        failed=(FailedInput(HOSTILE_NAME, "not an image"),),
        distributions=make_distributions(cells),
        unclassified_under=0.5,
        segmenter="thresholds of the stain",
        model_name="default",
        model_sha256="0" * 64,
        settings=(Entry("mpp", "not given"),),
    )
