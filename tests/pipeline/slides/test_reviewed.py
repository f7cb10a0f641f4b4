"""A counted slide with a person's calls: what changed is done again, and no block is counted for it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.slides import open_png

from erythron.bundle.folder import load_bundle
from erythron.differential.me_ratio import MERatio
from erythron.errors import UsageError
from erythron.pipeline.count import count_images
from erythron.pipeline.field import Model
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.recount import Reading, Recount, recount
from erythron.pipeline.settings import choose_settings
from erythron.pipeline.slides import tile
from erythron.pipeline.slides.areas import is_in_areas, part_by_area
from erythron.pipeline.slides.reviewed import review_slide
from erythron.read.inputs import find_images
from erythron.results.field import (
    need_record,
    read_cells,
    read_differential,
    read_field,
    read_outlines,
    read_page,
)
from erythron.results.record import SlideRecord
from erythron.results.review import read_review

OPTIONS = RunOptions(slides=SlideOptions(cells=35))
NOW = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def counted(slide_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the best areas of the slide: two of them."""
    out = tmp_path_factory.mktemp("counted")
    assert count_images(find_images([slide_path]), out, OPTIONS).failures == ()
    assert len(need_slide(out).areas) > 1
    return out


@pytest.fixture
def run(counted: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(counted, tmp_path / "run"))


@pytest.fixture
def no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """No block of a slide may be counted."""

    def refuse(*_: object) -> None:
        raise AssertionError("a block was counted")

    monkeypatch.setattr(tile, "count_block", refuse)


def need_slide(run: Path) -> SlideRecord:
    told = need_record(run / "marrow").slide
    assert told is not None
    return told


def take(run: Path, *files: Path, confirms_all: bool = False) -> Recount:
    return recount(run, files, Reading("Dr. Ann Reader", NOW, confirms_all))


def write_calls(run: Path, to: Path, called: str, rows: slice) -> list[str]:
    """Write labels that call some cells of the slide otherwise, and return their names."""
    cells = read_cells(run / "marrow").filter(pl.col("counted_as") != called)[rows]
    cells.select("image", "cell_id", pl.lit(called).alias("counted_as")).write_csv(to)
    return cells["cell_id"].to_list()


@pytest.mark.usefixtures("no_block")
def test_a_slide_that_nobody_called_is_made_anew_as_it_was_counted(counted: Path, run: Path) -> None:
    bundle = load_bundle()
    settings = choose_settings(bundle, None, 0.05, MERatio.ICSH)
    model = Model(bundle, settings, lambda: pytest.fail("a network was asked for"))
    record = need_record(run / "marrow")
    slide = open_png(record.image)
    review_slide(run / "marrow", record.fingerprints, None, model, lambda: slide)
    assert read_all(run / "marrow") == read_all(counted / "marrow")


@pytest.mark.usefixtures("no_block")
def test_calls_of_a_table_change_the_slide_and_go_with_its_review(
    counted: Path, run: Path, tmp_path: Path
) -> None:
    before = read_differential(run / "marrow")
    names = write_calls(run, tmp_path / "labels.csv", "lymphocyte", slice(0, 5))
    done = take(run, tmp_path / "labels.csv")
    assert (done.changed, done.added, done.left_out) == (5, 0, ())
    cells = read_cells(run / "marrow")
    assert cells.filter(pl.col("confirmed_as") == "lymphocyte")["cell_id"].to_list() == names
    after = read_differential(run / "marrow")
    assert after.nucleated_cells == before.nucleated_cells
    counts = [{line.name: line.count for line in one.classes}["lymphocyte"] for one in (before, after)]
    assert counts[1] == counts[0] + 5
    assert need_record(run / "marrow").slide == need_slide(counted)
    stored = {cell["properties"]["name"]: cell["properties"]["classification"] for cell in features(run)}
    assert {stored[name]["name"] for name in names} == {"lymphocyte"}
    page = read_page(run / "marrow")
    assert page is not None
    assert "lymphocyte" in {cell.label for cell in page.gallery}
    assert done.runs[0].review is not None
    assert done.runs[0].review.confirmed == 5
    assert done.runs[0].review.by_model.nucleated_cells == before.nucleated_cells
    assert "Dr. Ann Reader" in (run / "report.html").read_text()
    # A count of the same goes on with the calls, and without their review it is as before.
    reviewed = read_all(run / "marrow")
    assert count_images(find_images([Path(need_record(run / "marrow").image)]), run, OPTIONS).failures == ()
    assert read_all(run / "marrow") == reviewed
    (run / "marrow" / "review.json").unlink()
    assert count_images(find_images([Path(need_record(run / "marrow").image)]), run, OPTIONS).failures == ()
    assert read_all(run / "marrow") == read_all(counted / "marrow")


def features(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / "marrow" / "cells.geojson").read_text())["features"]


def test_a_cell_that_was_missed_is_added_where_areas_were_counted(
    counted: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, cells = need_slide(run), read_cells(run / "marrow")

    def find_free(area: tuple[int, int, int, int]) -> tuple[int, int]:
        left, top, right, bottom = area
        return next(
            (x, y)
            for x in range(left + 30, right - 30, 10)
            for y in range(top + 30, bottom - 30, 10)
            if ((cells["x_px"] - x).abs() + (cells["y_px"] - y).abs()).min() > 60
        )

    # As if only the first of the areas, which hold all of the slide, had been counted.
    first = told.model_copy(update={"areas": told.areas[:1]})
    monkeypatch.setattr("erythron.pipeline.recount.is_in_areas", lambda x, y, _: is_in_areas(x, y, first))
    beside, apart = find_free(told.areas[0]), find_free(told.areas[1])
    drawn = [outline(*beside), outline(*apart), outline(1600, 40)]
    for name in ("drawn", "moved"):
        (tmp_path / name).mkdir()
    files = [tmp_path / name / "marrow.geojson" for name in ("drawn", "moved")]
    files[0].write_text(json.dumps({"type": "FeatureCollection", "features": drawn}))
    moved = features(run)[0]
    moved["properties"] |= {"name": "by hand", "classification": {"name": "monocyte"}}
    files[1].write_text(json.dumps([moved]))
    done = take(run, *files)
    assert (done.changed, done.added) == (2, 1)
    beyond, reason = done.left_out
    assert "the cell at (1600, 40) lies outside the image" in beyond
    assert "lies outside the areas that were counted" in reason
    found = read_field(run / "marrow")
    assert found.cells.height == cells.height + 1
    new = found.cells.row(-1, named=True)
    assert (new["confirmed_as"], new["cell_id"]) == ("monocyte", found.outlines[-1].cell_id)
    assert abs(new["x_px"] - beside[0]) < 2
    assert not new["touches_edge"]
    assert found.cells.row(0, named=True)["confirmed_as"] == "monocyte"
    assert found.differential.nucleated_cells == read_differential(counted / "marrow").nucleated_cells + 1
    parts = part_by_area(found.cells, need_slide(run))
    assert [part.height for part in parts] == [told.area_cells[0] + 1, *told.area_cells[1:]]


def outline(x: int, y: int) -> dict[str, Any]:
    def square(half: int) -> dict[str, Any]:
        corners = [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]]
        return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}

    return {
        "type": "Feature",
        "geometry": square(22),
        "nucleusGeometry": square(14),
        "properties": {"classification": {"name": "monocyte"}},
    }


def test_a_table_that_was_edited_in_its_place_is_read_and_restored(counted: Path, run: Path) -> None:
    table = run / "marrow" / "cells.csv"
    edited = read_cells(run / "marrow")
    name = edited.filter(pl.col("counted_as") != "lymphocyte")["cell_id"][0]
    changed = pl.when(pl.col("cell_id") == name).then(pl.lit("lymphocyte")).otherwise(pl.col("counted_as"))
    edited.with_columns(changed.alias("counted_as")).write_csv(table)
    with pytest.raises(UsageError, match="was changed after the count"):
        take(run)
    assert take(run, table).changed == 1
    review = read_review(run / "marrow")
    assert review is not None
    assert [verdict.cell_id for verdict in review.verdicts] == [name]
    cells = read_cells(run / "marrow")
    assert cells.drop("confirmed_as", "counted_as").equals(
        read_cells(counted / "marrow").drop("confirmed_as", "counted_as")
    )


def test_places_are_of_the_area_that_holds_them_or_the_nearest(counted: Path) -> None:
    told = need_slide(counted).model_copy(
        update={"areas": ((0, 0, 100, 100), (200, 0, 300, 100)), "area_cells": (2, 1)}
    )
    assert is_in_areas(99, 99, told)
    assert not is_in_areas(100, 99, told)
    cells = (
        read_cells(counted / "marrow")
        .head(5)
        .with_columns(pl.Series("x_px", [0.0, 0, 0, 140, 160]), pl.Series("y_px", [0.0] * 5))
    )
    first, second = part_by_area(cells, told)
    assert first["x_px"].to_list() == [0, 0, 140]
    assert second["x_px"].to_list() == [0, 160]


def test_outlines_of_some_cells_are_read_out_of_all(counted: Path) -> None:
    every = read_field(counted / "marrow").outlines
    names = [every[0].cell_id, every[-1].cell_id]
    found = read_outlines(counted / "marrow", [*names, "x1y1"])
    assert list(found) == names
    assert (found[names[1]].nucleus == every[-1].nucleus).all()
    assert read_outlines(counted / "marrow", []) == {}
