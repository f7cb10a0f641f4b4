"""A slide is reviewed as a field is, its pixels read by region alone; only outlining is refused."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from erythron.pipeline import count_worker, stream
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.slides import counter
from erythron.read.inputs import find_images
from erythron.results.field import read_cells, read_differential
from erythron.review_page import pixels
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from tests.review_page.conftest import Desk, Visit
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


def test_a_cell_is_not_outlined_on_a_slide_and_it_says_what_to_do(visit: Visit) -> None:
    cell = {"cell_id": visit.names(1)[0], "seen": 0}
    for body in ({"kind": "click", "at": [50, 50]}, {"kind": "split", "cell": cell}):
        answer = visit.client.post("/api/fields/0/edits", json={"action": "test", **body})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("marrow.slide is a slide, on which cells are not outlined")
        assert "erythron recount" in answer.json()["detail"]


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
