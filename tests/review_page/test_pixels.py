"""A slide is reviewed as a field is, its pixels read by region alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from erythron.cells.table import NOT_A_CELL
from erythron.interchange.outlines import fill_parts
from erythron.pipeline import count_worker, stream
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.slides import counter
from erythron.read.inputs import find_images
from erythron.results.field import read_cells, read_differential
from erythron.review_page import book, pixels
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from tests.review_page.conftest import Desk, Visit, find_free
from tests.review_page.routes.test_pictures import split_pack
from tests.review_page.routes.test_results import sign
from tests.slides import ArraySlide, open_png

MOST_READ = 600
"""Side of what is read at once in these tests: the slide has 900 by 700."""


class WatchedSlide(ArraySlide):
    """A slide of which never much is read at full resolution."""

    def read_region(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        assert width * height <= MOST_READ**2
        return super().read_region(left, top, width, height)

    def read_scaled(
        self, left: int, top: int, width: int, height: int, downsample: float
    ) -> NDArray[np.uint8]:
        part = Image.fromarray(self.rgb[top : top + height, left : left + width])
        return np.asarray(part.resize((round(width / downsample), round(height / downsample))))


@pytest.fixture(scope="module")
def slide_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The review of a run over one slide."""
    folder = tmp_path_factory.mktemp("slide-review")
    path = folder / "marrow.slide"
    rgb = draw_field(DrawnFieldSpec(900, 700, seed=4, cells_per_mm2=1200)).rgb
    Image.fromarray(rgb).save(path, format="PNG")

    def open_watched(path: Path, mpp: float | None = None) -> WatchedSlide:
        found = open_png(path, mpp)
        return WatchedSlide(found.name, found.rgb, found.mpp, found.mpp_source)

    with pytest.MonkeyPatch.context() as patch:
        for module in (count_worker, stream):
            patch.setattr(module, "is_slide", lambda path: Path(path).suffix == ".slide")
        patch.setattr(counter, "open_source", open_png)
        patch.setattr(pixels, "open_source", open_watched)
        slides = SlideOptions(whole=True)
        assert count_images(find_images([path]), folder / "run", RunOptions(slides=slides)).failures == ()
        yield Desk(folder / "run")


@pytest.fixture
def visit(slide_desk: Desk) -> Visit:
    return slide_desk.visit()


def test_crops_and_regions_of_a_slide_are_read_by_region(slide_desk: Desk, visit: Visit) -> None:
    cells = read_cells(slide_desk.out / "marrow")
    names = ",".join(f"0:{name}" for name in cells["cell_id"][:3])
    crops = split_pack(visit.client.get("/api/crops", params={"cells": names}).content)
    assert len(crops) == 3
    side = visit.client.get("/api/run").json()["specimens"][0]["fields"][0]["crop_px"]
    assert Image.open(io.BytesIO(crops[0])).size == (side, side)
    slide = open_png(slide_desk.out.parent / "marrow.slide")
    row = cells.row(0, named=True)
    x, y, middle = round(row["x_px"]), round(row["y_px"]), side // 2
    shown = np.asarray(Image.open(io.BytesIO(crops[0])), float)
    shown = shown[middle - 4 : middle + 4, middle - 4 : middle + 4]
    assert abs(shown.mean() - slide.rgb[y - 4 : y + 4, x - 4 : x + 4].mean()) < 3
    place = {"left": 0, "top": 0, "width": 900, "height": 700, "out": 300}
    whole = visit.client.get("/api/fields/0/region", params=place)
    assert Image.open(io.BytesIO(whole.content)).size == (300, 233)
    assert len(visit.client.get("/api/fields/0/outlines").json()) == cells.height


def edit(visit: Visit, **body: Any) -> dict[str, Any]:
    answer = visit.client.post("/api/fields/0/edits", json={"action": "test", **body})
    assert answer.status_code in {200, 422}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_cells_are_outlined_split_and_merged_on_a_slide_as_on_a_field(
    slide_desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little more than the cell is read of the slide, and places are those of the slide."""
    cells = visit.cells()
    clear = (i for i, (x, y, w, h) in enumerate(cells["place"]) if x > 450 and y > 350 and w < 60 > h)
    at = next(clear)
    name, (x, y, _, _) = cells["cell_id"][at], cells["place"][at]
    before = visit.client.get("/api/fields/0/outlines").json()[name]
    assert "outlined there already" in edit(visit, kind="click", at=[x, y])["detail"]
    visit.call(name, NOT_A_CELL)
    [event] = edit(visit, kind="click", at=[x, y])["events"]
    again = visit.client.get("/api/fields/0/outlines").json()[event["subject"]]
    old, new = (fill_parts([[ring] for ring in rings]) for rings in (before, again))
    assert old is not None
    assert new is not None
    assert old.overlap_px(new) > 0.8 * max(old.area_px, new.area_px)
    # A cell of a person's own hand, parted in two and made one again.
    free_x, free_y = find_free(cells)
    free_x, free_y = free_x + 330, free_y + 330
    ring = [(free_x - 18, free_y - 7), (free_x + 18, free_y - 7), (free_x + 18, free_y + 7)]
    ring.append((free_x - 18, free_y + 7))
    with monkeypatch.context() as patch:
        patch.setattr(book, "is_in_areas", lambda *_: False)
        refused = edit(visit, kind="draw", cell=ring, nucleus=ring)["detail"]
        assert "areas of the slide that were counted" in refused
    assert "lies outside marrow.slide" in edit(visit, kind="click", at=[5000, 5])["detail"]
    drawn = edit(visit, kind="draw", cell=ring, nucleus=ring)["events"][0]["subject"]
    halves = edit(visit, kind="split", cell={"cell_id": drawn, "seen": 1})["events"][:2]
    parts = [{"cell_id": half["subject"], "seen": 1} for half in halves]
    whole = edit(visit, kind="merge", cells=parts)["events"][0]["subject"]
    assert visit.call(whole, "plasma_cell", seen=1).status_code == 200
    # The count of the run says the same.
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    table = read_cells(slide_desk.out / "marrow")
    shown = dict(table.select("cell_id", "confirmed_as").iter_rows())
    assert shown[whole] == "plasma_cell"
    assert event["subject"] in shown
    assert not {drawn, *(half["subject"] for half in halves)} & set(shown)
    row = table.row(by_predicate=pl.col("cell_id") == whole, named=True)
    assert (row["x_px"], row["y_px"]) == pytest.approx((free_x, free_y), abs=1)
    for cell in (name, event["subject"], whole):
        seen = {s["subject"]: s["version"] for s in visit.cells()["standing"]}[cell]
        assert visit.call(cell, "" if cell == name else NOT_A_CELL, seen=seen).status_code == 200


def test_a_slide_is_called_undone_and_signed(slide_desk: Desk, visit: Visit) -> None:
    before = visit.client.get("/api/specimens/0/differential").json()["differential"]
    first, second = visit.names(2)
    assert visit.call(first, "monocyte").status_code == 200
    assert visit.call(second, "monocyte").status_code == 200
    assert visit.call(second, "", seen=1).status_code == 200
    now = visit.client.get("/api/specimens/0/differential").json()
    assert now["confirmed"] == 1
    assert now["differential"]["nucleated_cells"] == before["nucleated_cells"]
    ring = [[0, 0], [300, 0], [300, 300], [0, 300]]
    region = {"action": "test", "region_id": "region-a", "seen": 0, "mode": "leave_out", "ring": ring}
    assert visit.client.post("/api/fields/0/regions", json=region).status_code == 200
    assert sign(visit).status_code == 200
    cells = read_cells(slide_desk.out / "marrow")
    assert cells["confirmed_as"].drop_nulls().to_list() == ["monocyte"]
    shown = visit.client.get("/api/specimens/0/differential").json()["differential"]
    assert read_differential(slide_desk.out / "marrow").nucleated_cells == shown["nucleated_cells"]
    assert shown["nucleated_cells"] < before["nucleated_cells"]
    assert "A. Reader" in (slide_desk.out / "report.html").read_text()
    assert visit.call(first, "lymphocyte", seen=1).status_code == 423
