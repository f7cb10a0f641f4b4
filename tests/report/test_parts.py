"""Overlay and summary table."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cells.outline import render_labels
from erythron.cells.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.differential.counts import Estimate
from erythron.report.model import FailedInput, SignedVersion
from erythron.report.overlay import draw_overlay, make_overlay_picture
from erythron.report.tables import SpecimenRow, make_specimen_summary, make_summary, summary_schema

from .conftest import Field, make_report


def test_overlay_keeps_pixels_in_place_and_uses_class_colours(field: Field) -> None:
    image = np.asarray(draw_overlay(field.rgb, field.outlines, field.cells))
    assert image.shape[0] > field.rgb.shape[0]  # the legend stands beneath
    assert image.shape[1] == field.rgb.shape[1]
    assert tuple(image[40, 11]) == colour_of("proerythroblast")
    assert tuple(image[200, 251]) == UNCLASSIFIED_COLOUR
    outside = render_labels(field.outlines, 240, 320)[1] == 0
    assert np.array_equal(image[:240][outside], field.rgb[outside])


@pytest.mark.parametrize("ground", [(30, 12, 70), (225, 222, 232)])
@pytest.mark.parametrize("group", [*(c.name for c in DEFAULT_CLASSES), "unclassified"])
def test_every_outline_stands_out_on_dark_nuclei_and_pale_ground(
    field: Field, group: str, ground: tuple[int, int, int]
) -> None:
    unclassified = group == "unclassified"
    label = "other" if unclassified else group
    cells = field.cells.with_columns(label=pl.lit(label), flags=pl.lit(group if unclassified else ""))
    rgb = np.full_like(field.rgb, ground)
    image = np.asarray(draw_overlay(rgb, field.outlines, cells, legend=False))
    for rim in (image[40, 11:14], image[40, 26:29]):  # of a cell, of its nucleus
        distances = deltaE_ciede2000(rgb2lab(rim[None] / 255.0), rgb2lab(np.array([[ground]]) / 255.0))
        assert distances.max() > 12  # platelet grey on pale ground is the least


def test_overlay_without_cells_is_the_image(field: Field) -> None:
    image = draw_overlay(field.rgb, (), field.cells.clear(), legend=True)
    assert image.size == (320, 240)


def test_pictures_of_many_fields_share_a_budget() -> None:
    from PIL import Image

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1400, 3), dtype=np.uint8))
    one, many = make_overlay_picture(noise, 1), make_overlay_picture(noise, 24)
    assert len(one.data) <= 1_200_000
    assert many.width_px < one.width_px


def test_summary_has_a_row_an_input_in_order(field: Field) -> None:
    done = make_report(field, ["a.png"]).fields[0]
    table = make_summary([FailedInput("bad.png", "empty file"), done], DEFAULT_CLASSES)
    assert table.schema == summary_schema(DEFAULT_CLASSES)
    assert table["status"].to_list() == ["failed", "done"]
    row = table.row(1, named=True)
    assert (row["nucleated_cells"], row["count_granulocyte"], row["unclassified_cells"]) == (11, 2, 1)
    assert row["me_ratio"] == 0.75  # two granulocytes and a monocyte to four erythroblasts
    assert row["percent_granulocyte"] == 18.1818  # two of eleven, without the noise of arithmetic
    assert row["erythroid_percent_low"] < row["erythroid_percent"] < row["erythroid_percent_high"]
    assert table.row(0, named=True)["nucleated_cells"] is None
    assert make_summary([], DEFAULT_CLASSES).schema == summary_schema(DEFAULT_CLASSES)


def test_the_summary_has_the_bound_of_a_corrected_figure(field: Field) -> None:
    done = make_report(field, ["a.png"]).fields[0]
    share = done.differential.erythroid_share
    assert share is not None
    bounded = replace(share, corrected=Estimate(0.6, (0.5, 0.7), (0.25, 0.75)))
    plain = replace(share, corrected=Estimate(0.6, (0.5, 0.7)))
    rows = [
        replace(done, differential=replace(done.differential, erythroid_share=index))
        for index in (bounded, plain)
    ]
    table = make_summary(rows, DEFAULT_CLASSES)
    names = [
        f"corrected_erythroid_percent{end}" for end in ("", "_low", "_high", "_bound_low", "_bound_high")
    ]
    assert table.select(names).rows() == [(60.0, 50.0, 70.0, 25.0, 75.0), (60.0, 50.0, 70.0, None, None)]


def test_the_signature_of_the_state_stands_last_in_the_row_of_its_specimen(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    signed = SignedVersion(2, "007", datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=1))), 11, 3)
    rows = [SpecimenRow(name, {}, 1, 0, 0, found, None, by) for name, by in (("a", signed), ("b", None))]
    table = make_specimen_summary(rows, DEFAULT_CLASSES)
    assert table.columns[-3:] == ["signed_by", "signed_at", "signed_version"]
    assert table[:, -3:].rows() == [("007", "2026-01-02T02:04:00+00:00", 2), (None, None, None)]
