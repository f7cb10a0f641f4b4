"""Cells go out with what is known of them; calls come in, are stored, and move the differential."""

from __future__ import annotations

import polars as pl

from erythron.results.field import read_cells, read_differential
from tests.review_page.conftest import Desk, Visit


def test_cells_go_out_as_they_were_counted(desk: Desk, visit: Visit) -> None:
    found = visit.cells()
    table = pl.concat([read_cells(desk.out / name) for name in ("f0", "f1")])
    assert found["cell_id"] == table["cell_id"].to_list()
    assert set(found["field"]) == {0, 1}
    assert found["counted_as"] == table["counted_as"].to_list()
    assert found["standing"] == []
    [cell] = visit.client.get("/api/cells", params={"cells": f"0:{found['cell_id'][0]}"}).json()
    assert abs(sum(cell["probabilities"]) - 1) < 0.01
    assert cell["measurements"]["nucleus_diameter_um"] == round(table["nucleus_diameter_um"][0], 4)
    assert len(cell["outline"][0]) > 5


def test_a_call_is_kept_with_who_made_it_and_from_what_to_what(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    was = visit.cells()["counted_as"][0]
    answer = visit.call(cell, "plasma_cell")
    assert answer.status_code == 200
    assert visit.call(cell, "monocyte", seen=1).status_code == 200
    events = desk.visit("B. Reader").client.get("/api/specimens/0/events").json()["events"]
    assert [(e["subject"], e["was"], e["becomes"], e["reader"], e["version"]) for e in events] == [
        (cell, was, "plasma_cell", "A. Reader", 1),
        (cell, "plasma_cell", "monocyte", "A. Reader", 2),
    ]
    [standing] = visit.cells()["standing"]
    assert (standing["subject"], standing["becomes"], standing["version"]) == (cell, "monocyte", 2)


def test_a_call_on_what_somebody_else_has_changed_is_refused_and_shown(desk: Desk, visit: Visit) -> None:
    first, second = visit.names(2)
    other = desk.visit("B. Reader")
    assert other.call(first, "monocyte").status_code == 200
    calls = [{"field": 0, "cell_id": name, "seen": 0, "called": "lymphocyte"} for name in (second, first)]
    answer = visit.client.post("/api/specimens/0/calls", json={"action": "a", "calls": calls})
    assert answer.status_code == 409
    [current] = answer.json()["current"]
    assert (current["subject"], current["becomes"], current["reader"]) == (first, "monocyte", "B. Reader")
    assert [s["subject"] for s in visit.cells()["standing"]] == [first]


def test_the_differential_follows_each_call_and_is_that_of_the_run_without_any(
    desk: Desk, visit: Visit
) -> None:
    def count() -> dict[str, int]:
        found = visit.client.get("/api/specimens/0/differential").json()
        return {line["name"]: line["count"] for line in found["differential"]["classes"]}

    stored = [read_differential(desk.out / name) for name in ("f0", "f1")]
    before = count()
    assert before == {
        line.name: line.count + other.count
        for line, other in zip(stored[0].classes, stored[1].classes, strict=True)
    }
    cells = visit.cells()
    at = next(i for i, name in enumerate(cells["counted_as"]) if name != "unclassified")
    name, called = cells["cell_id"][at], cells["counted_as"][at]
    new = "monocyte" if called != "monocyte" else "lymphocyte"
    visit.call(name, new, field=cells["field"][at])
    after = count()
    assert {n: after[n] - before[n] for n in after if after[n] != before[n]} == {called: -1, new: 1}
    visit.call(name, "", seen=1, field=cells["field"][at])
    assert count() == before


def test_what_is_no_cell_or_no_class_is_refused(visit: Visit) -> None:
    [cell] = visit.names(1)
    for answer in (
        visit.call("x999999y1", "monocyte"),
        visit.call(cell, "no class"),
        visit.call(cell, "monocyte", field=7),
        visit.call("../../etc", "monocyte"),
        visit.client.post("/api/specimens/0/calls", json={"action": "a", "calls": []}),
        visit.client.get("/api/cells", params={"cells": "0:" + ",0:".join(["x1y1"] * 300)}),
    ):
        assert answer.status_code == 422, answer.text
    assert visit.client.get("/api/specimens/9/cells").status_code == 404
    assert visit.cells()["standing"] == []


def test_the_queue_follows_the_calls_of_the_reader(visit: Visit) -> None:
    first = visit.client.get("/api/specimens/0/queue").json()
    cells = visit.cells()
    assert sorted(first["cell_id"]) == sorted(cells["cell_id"])
    assert first["cell_id"][0] == cells["cell_id"][cells["doubt"].index(max(cells["doubt"]))]
    visit.call(first["cell_id"][0], "monocyte", field=first["field"][0])
    second = visit.client.get("/api/specimens/0/queue", params={"most": 3}).json()
    assert len(second["cell_id"]) == 3
    assert first["cell_id"][0] not in second["cell_id"]
    assert second["last"] == first["last"] + 1
