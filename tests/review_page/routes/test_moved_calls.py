"""After a field was outlined anew the page shows what the count counts, and just that is signed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from erythron.cells.table import NOT_A_CELL
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import InputImage, find_images
from erythron.results.field import read_cells, read_outlines
from tests.review_page.conftest import Desk, Visit

FIGURES = ("nucleated_cells", "classes", "unclassified", "me_ratio", "erythroid_share", "flags")


@pytest.fixture
def inputs(data_dir: Path, tmp_path: Path) -> list[InputImage]:
    """A field of marrow of 86 cells."""
    return find_images([Path(shutil.copy(data_dir / "marrow-fields" / "bmac_3316.jpg", tmp_path / "f.jpg"))])


def show(visit: Visit) -> dict[str, Any]:
    """Return the differential that the page shows."""
    found: dict[str, Any] = visit.client.get("/api/specimens/0/differential").json()
    return found


def read_calls(visit: Visit) -> dict[str, str]:
    """Return what each listed cell is called by a person, as the page takes it from the answer."""
    cells = visit.cells()
    listed = set(cells["cell_id"])
    assert len(listed) == len(cells["cell_id"])
    called: dict[str, str] = {}
    versions: dict[str, int] = {}
    for event in cells["standing"]:
        name = event["subject"]
        if name in listed and event["kind"] in {"call", "add"} and event["version"] >= versions.get(name, 0):
            versions[name], called[name] = event["version"], event["becomes"]
    return {name: call for name, call in called.items() if call}


def list_shown(visit: Visit) -> set[str]:
    """Return the listed cells without those that a person added and took away again."""
    cells, calls = visit.cells(), read_calls(visit)
    rows = zip(cells["cell_id"], cells["added"], strict=True)
    return {name for name, is_added in rows if not (is_added and calls.get(name) == NOT_A_CELL)}


def assert_signed_as_shown(visit: Visit, folder: Path) -> None:
    """Sign, and compare cells, calls and figures of the page with those of the signed result."""
    listed, calls, shown = list_shown(visit), read_calls(visit), show(visit)
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": shown["last"]})
    assert answer.status_code == 200, answer.text
    signed = read_cells(folder)
    assert set(signed["cell_id"]) == listed
    confirmed = dict(signed.drop_nulls("confirmed_as").select("cell_id", "confirmed_as").iter_rows())
    assert confirmed == {name: call for name, call in calls.items() if name in listed}
    assert (shown["cells"], shown["confirmed"]) == (signed.height, len(confirmed))
    stored = json.loads(visit.client.get("/api/specimens/0/exports/differential").content)
    found = shown["differential"]
    assert {name: stored[name] for name in FIGURES} == {name: found[name] for name in FIGURES}
    summary = pl.read_csv(folder.parent / "summary.csv")
    assert {
        line["name"]: summary["count_" + line["name"]].sum()
        for line in found["classes"]
        if "count_" + line["name"] in summary.columns
    } == {line["name"]: line["count"] for line in found["classes"]}


def draw_over(visit: Visit, folder: Path, name: str) -> str:
    """Take a cell away, draw one in its place, and return the name of the latter."""
    old = read_outlines(folder, [name])[name]
    height, width = old.cell.shape
    x, y = old.left, old.top
    ring = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    assert visit.call(name, NOT_A_CELL).status_code == 200
    body = {"kind": "draw", "action": "e", "cell": ring, "nucleus": ring}
    drawn: str = visit.client.post("/api/fields/0/edits", json=body).json()["events"][0]["subject"]
    return drawn


def open_count(inputs: list[InputImage], run: Path) -> tuple[list[str], Desk, Visit]:
    """Count an image, and return the names of its cells and a page that shows it."""
    count_images(inputs, run, RunOptions(mpp=0.25))
    desk = Desk(run)
    return read_cells(run / "f")["cell_id"].to_list(), desk, desk.visit()


def test_the_page_shows_each_cell_and_call_as_it_counts_and_signs_just_that(
    inputs: list[InputImage], tmp_path: Path
) -> None:
    """A cell beside the model's outline of it was listed, though it was counted as the model's."""
    run, folder = tmp_path / "run", tmp_path / "run" / "f"
    names, desk, visit = open_count(inputs, run)
    for name, call in zip(names[:40], ["plasma_cell", "monocyte"] * 20, strict=True):
        assert visit.call(name, call).status_code == 200
    # The one drawn cell stays in place of the model's; the other is the model's, which is put back.
    kept, once = names[40], names[41]
    drawn, again = draw_over(visit, folder, kept), draw_over(visit, folder, once)
    assert visit.call(drawn, "lymphocyte", seen=1).status_code == 200
    assert visit.call(again, "lymphocyte", seen=1).status_code == 200
    before = show(visit)["cells"]
    assert visit.call(once, "", seen=1).status_code == 200
    assert show(visit)["cells"] == before - 1
    assert {drawn, again} & list_shown(visit) == {drawn}
    calls = read_calls(visit)
    assert (calls[kept], calls[drawn], calls[once]) == (NOT_A_CELL, "lymphocyte", "lymphocyte")
    assert_signed_as_shown(visit, folder)
    assert visit.client.delete("/api/specimens/0/signature").status_code == 200
    desk.log.close()

    count_images(inputs, run, RunOptions(mpp=0.29, force=True))
    visit = Desk(run).visit()
    assert {drawn, again} & list_shown(visit) == {drawn}
    calls = read_calls(visit)
    assert sorted(calls.values()).count("lymphocyte") == 2
    # Each call stands on the page or is said to be lost.
    flags = show(visit)["differential"]["flags"]
    assert len(calls) + sum(flag["value"] for flag in flags if flag["name"] == "review_lost") == 43
    assert set(calls) - set(names) - {drawn}  # some went to cells of other names
    assert_signed_as_shown(visit, folder)


def test_a_call_that_went_to_another_cell_is_called_otherwise_and_taken_back_there(
    inputs: list[InputImage], tmp_path: Path
) -> None:
    run, folder = tmp_path / "run", tmp_path / "run" / "f"
    names, desk, visit = open_count(inputs, run)
    for name in names[:40]:
        assert visit.call(name, "plasma_cell").status_code == 200
    desk.log.close()
    count_images(inputs, run, RunOptions(mpp=0.29, force=True))
    visit = Desk(run).visit()
    lost = [f for f in show(visit)["differential"]["flags"] if f["name"] == "review_lost"]
    otherwise, back, *_ = sorted(set(read_calls(visit)) - set(names))
    was = [
        visit.call(name, called).json()["events"][0]["was"]
        for name, called in ((otherwise, "monocyte"), (back, ""))
    ]
    assert was == ["plasma_cell", "plasma_cell"]
    calls = read_calls(visit)
    assert calls[otherwise] == "monocyte"
    assert back not in calls
    assert [f for f in show(visit)["differential"]["flags"] if f["name"] == "review_lost"] == lost
    assert_signed_as_shown(visit, folder)


def test_readers_before_and_after_a_field_was_outlined_anew_are_compared_cell_by_cell(
    inputs: list[InputImage], tmp_path: Path
) -> None:
    """Their calls were paired by the names of cells alone, so most were said to be one reader's only."""
    run = tmp_path / "run"
    names, desk, _ = open_count(inputs, run)
    desk.log.close()
    desk = Desk(run, is_blind=True)
    a = desk.visit("A. Reader")
    for name in names[:20]:
        assert a.call(name, "plasma_cell").status_code == 200
    a.client.post("/api/specimens/0/readings/done")
    desk.log.close()
    count_images(inputs, run, RunOptions(mpp=0.29, force=True))
    desk = Desk(run, is_blind=True)
    b = desk.visit("B. Reader")
    listed = b.cells()["cell_id"]
    for name in listed:
        assert b.call(name, "plasma_cell").status_code == 200
    b.client.post("/api/specimens/0/readings/done")
    found = b.client.get("/api/specimens/0/readings").json()
    both = {call["cell_id"] for call in found["calls"] if len(call["calls"]) == 2}
    assert both - set(names)  # some have another name now
    [pair] = found["agreement"]
    assert pair["matched"] == len(both) >= 15
    desk.log.close()
