"""Cells that the model missed, ran together or parted are set right, counted, and taken back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from erythron.results.field import read_cells
from erythron.results.review import read_review
from tests.review_page.conftest import Desk, Visit, find_free


def edit(visit: Visit, **body: Any) -> Any:
    return visit.client.post("/api/fields/0/edits", json={"action": "e", **body})


def square(x: float, y: float, half: float) -> list[tuple[float, float]]:
    return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]


def standing(visit: Visit) -> dict[str, str]:
    return {s["subject"]: s["becomes"] for s in visit.cells()["standing"]}


def total(visit: Visit) -> int:
    found: int = visit.client.get("/api/specimens/0/differential").json()["differential"]["nucleated_cells"]
    return found


def test_a_cell_that_was_drawn_is_measured_named_and_counted(desk: Desk, visit: Visit) -> None:
    x, y = find_free(visit.cells())
    before = total(visit)
    answer = edit(visit, kind="draw", cell=square(x, y, 15), nucleus=square(x, y, 8))
    assert answer.status_code == 200, answer.text
    [event] = answer.json()["events"]
    assert (event["kind"], event["was"]) == ("add", "missed")
    assert visit.call(event["subject"], "plasma_cell", seen=1).status_code == 200
    assert total(visit) == before + 1
    [cell] = visit.client.get("/api/cells", params={"cells": f"0:{event['subject']}"}).json()
    assert cell["measurements"]["nucleus_area_px"] == 256
    # It is there for the next server too, and is taken back as not a cell.
    again = Desk(desk.out).visit()
    assert event["subject"] in again.cells()["cell_id"]
    visit.call(event["subject"], "not_a_cell", seen=2)
    assert total(visit) == before


def test_a_cell_that_was_added_and_taken_back_is_in_no_table_and_no_report(
    desk: Desk, visit: Visit, counted: Path
) -> None:
    [name], (x, y) = visit.names(1), find_free(visit.cells())
    ring = square(x, y, 8)
    added = edit(visit, kind="draw", cell=ring, nucleus=ring).json()["events"][0]["subject"]
    visit.call(added, "plasma_cell", seen=1)
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    assert added in read_cells(desk.out / "f0")["cell_id"].to_list()
    assert visit.call(added, "not_a_cell", seen=2).status_code == 200
    cells = visit.cells()
    assert [cells["added"][cells["cell_id"].index(one)] for one in (name, added)] == [False, True]
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    assert read_cells(desk.out / "f0").equals(read_cells(counted / "f0"))
    assert "A. Reader" not in (desk.out / "report.html").read_text()
    # The record keeps both, and what is called again is there again, also for the next server.
    review = read_review(desk.out / "f0")
    assert review is not None
    assert [verdict.called for verdict in review.verdicts] == ["", "plasma_cell", "not_a_cell"]
    again = Desk(desk.out).visit()
    assert again.call(added, "monocyte", seen=3).status_code == 200
    assert again.client.post("/api/specimens/0/recount").status_code == 204
    found = read_cells(desk.out / "f0").filter(pl.col("cell_id") == added)
    assert found["confirmed_as"].to_list() == ["monocyte"]


def test_a_cell_is_not_merged_with_itself(visit: Visit) -> None:
    [name] = visit.names(1)
    answer = edit(visit, kind="merge", cells=[{"cell_id": name, "seen": 0}] * 2)
    assert answer.status_code == 422
    assert "twice" in answer.json()["detail"]


def test_a_cell_that_was_missed_is_outlined_by_a_click(visit: Visit) -> None:
    cells = visit.cells()
    name, (x, y, _, _) = cells["cell_id"][0], cells["place"][0]
    answer = edit(visit, kind="click", at=(x, y))
    assert answer.status_code == 422  # it is outlined already
    assert "outlined" in answer.json()["detail"]
    visit.call(name, "not_a_cell")
    found = edit(visit, kind="click", at=(x + 1, y + 1))
    [event] = found.json()["events"]
    assert abs(int(event["subject"].split("y")[1]) - y) < 6
    empty = edit(visit, kind="click", at=find_free(cells))
    assert empty.status_code == 422


def test_cells_are_merged_and_what_they_were_is_no_cell(visit: Visit) -> None:
    x, y = find_free(visit.cells())
    halves = [
        edit(visit, kind="draw", cell=square(at, y, 9), nucleus=square(at, y, 6)).json()["events"][0][
            "subject"
        ]
        for at in (x - 10, x + 10)
    ]
    before = total(visit)
    merged = edit(visit, kind="merge", cells=[{"cell_id": name, "seen": 1} for name in halves])
    assert merged.status_code == 200, merged.text
    assert {standing(visit)[name] for name in halves} == {"not_a_cell"}
    assert total(visit) == before - 1


def test_a_cell_is_split_along_its_longest_axis_without_points(visit: Visit) -> None:
    x, y = find_free(visit.cells())
    ring = [(x - 20, y - 7), (x + 20, y - 7), (x + 20, y + 7), (x - 20, y + 7)]
    name = edit(visit, kind="draw", cell=ring, nucleus=ring).json()["events"][0]["subject"]
    before = total(visit)
    answer = edit(visit, kind="split", cell={"cell_id": name, "seen": 1})
    assert answer.status_code == 200, answer.text
    assert [e["kind"] for e in answer.json()["events"]] == ["add", "add", "call"]
    assert total(visit) == before + 1
    assert standing(visit)[name] == "not_a_cell"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "draw", "cell": [(0, 0), (1, 0), (1, 1)]},
        {"kind": "draw", "cell": [(-900, -900), (-800, -900), (-800, -800)]},
        {"kind": "draw", "cell": [(0, 0), (9e6, 0), (9e6, 9e6)]},
        {"kind": "draw", "cell": [(0, 0), (1, 1)]},
        {"kind": "split", "cell": {"cell_id": "x1y1", "seen": 0}},
        {"kind": "unknown"},
    ],
)
def test_what_is_no_outline_is_refused(visit: Visit, body: dict[str, Any]) -> None:
    assert edit(visit, **body).status_code == 422
    assert visit.cells()["standing"] == []


def test_cells_outside_a_region_are_in_no_count_until_it_is_removed(visit: Visit) -> None:
    before = total(visit)
    left = sum(
        f == 0 and p[0] < 150 for f, p in zip(visit.cells()["field"], visit.cells()["place"], strict=True)
    )
    ring = [(0, 0), (150.5, 0), (150.5, 240), (0, 240)]
    body = {"action": "r", "region_id": "region-1", "seen": 0, "mode": "leave_out", "ring": ring}
    assert visit.client.post("/api/fields/0/regions", json=body).status_code == 200
    assert sum(visit.cells()["outside"]) == left > 0
    assert total(visit) <= before - left + 2  # debris is in no total
    [region] = visit.client.get("/api/fields/0/regions").json()
    assert (region["mode"], region["version"]) == ("leave_out", 1)
    assert visit.client.post("/api/fields/0/regions", json=body).status_code == 409
    visit.client.post("/api/fields/0/regions", json={**body, "seen": 1, "mode": "removed"})
    assert visit.client.get("/api/fields/0/regions").json() == []
    assert total(visit) == before
