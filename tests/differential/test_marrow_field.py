"""The counted marrow field: intervals hold the reference, whole and dealt to fields by place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from erythron.bundle.folder import load_bundle
from erythron.differential.assemble import (
    DifferentialSettings,
    make_differential,
    merge_differentials,
)
from erythron.differential.counts import Differential, Estimate
from erythron.pipeline.field import Model, count_field, load_networks
from erythron.pipeline.settings import choose_settings
from erythron.read.fields import read_image

DATA = os.environ.get("ERYTHRON_DATA_DIR")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(DATA is None, reason="ERYTHRON_DATA_DIR is not set"),
]


@pytest.fixture(scope="module")
def settings() -> DifferentialSettings:
    return choose_settings(load_bundle())


@pytest.fixture(scope="module")
def cells(settings: DifferentialSettings) -> pl.DataFrame:
    bundle = load_bundle()
    networks = load_networks(bundle)
    image = read_image(Path(DATA or "") / "marrow-field" / "marrow-field-left.png")
    return count_field(image, Model(bundle, settings, lambda: networks)).cells


@pytest.fixture(scope="module")
def reference() -> float:
    path = Path(DATA or "") / "marrow-field" / "marrow-field-left.json"
    labels = [cell["label"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    sure = [label for label in labels if label != "unsure"]
    return sum(label != "other" for label in sure) / len(sure)


def cut(cells: pl.DataFrame, settings: DifferentialSettings, rows: int, columns: int) -> Differential:
    """Deal the cells to fields of equal size by where they lie, and add these up."""
    lines = []
    for place, parts in (("x_px", columns), ("y_px", rows)):
        least, most = cells[place].min(), cells[place].max()
        scaled = (pl.col(place) - least) / (most - least) * parts
        lines.append(scaled.floor().clip(0, parts - 1))
    fields = cells.with_columns((lines[0] * rows + lines[1]).alias("field")).partition_by("field")
    assert len(fields) == rows * columns
    return merge_differentials((make_differential(field, settings) for field in fields), settings)


def share_of(differential: Differential) -> tuple[float, float, float]:
    assert differential.erythroid_share is not None
    estimate: Estimate | None = differential.erythroid_share.corrected
    assert estimate is not None
    assert estimate.value is not None
    assert estimate.interval is not None
    low, high = estimate.interval
    assert high is not None
    return estimate.value, low, high


def test_raw_and_corrected_intervals_hold_the_erythroid_share_of_the_reference(
    cells: pl.DataFrame, settings: DifferentialSettings, reference: float
) -> None:
    assert reference == pytest.approx(0.647, abs=0.001)
    found = make_differential(cells, settings)
    assert found.erythroid_share is not None
    raw = found.erythroid_share.interval
    assert raw is not None
    assert raw.low < reference < raw.high
    _, low, high = share_of(found)
    assert low < reference < high
    assert high - low < 0.25
    # No cell was called a proerythroblast, and hardly one looks like it: the limits were 0 to 15.5 %.
    young = found.classes[0].corrected_of_nucleated
    assert young is not None
    assert young.interval is not None
    assert (young.interval[1] or 1.0) < 0.05


@pytest.mark.parametrize(("rows", "columns"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_the_same_cells_in_fields_have_the_same_estimate_and_a_little_wider_interval(
    cells: pl.DataFrame, settings: DifferentialSettings, rows: int, columns: int
) -> None:
    value, low, high = share_of(make_differential(cells, settings))
    found, least, most = share_of(cut(cells, settings, rows, columns))
    assert found == pytest.approx(value, abs=0.001)
    assert most - least < 1.6 * (high - low)
