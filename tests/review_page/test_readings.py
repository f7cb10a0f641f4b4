"""Readers call the same cells blind to one another; how far they agree is what ``compare`` finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erythron.compare.comparison import compare_cells
from tests.review_page.conftest import Desk, Visit, find_free


@pytest.fixture
def blind(run: Path) -> Iterator[Desk]:
    made = Desk(run, is_blind=True)
    yield made
    made.log.close()


def readings(visit: Visit) -> Any:
    return visit.client.get("/api/specimens/0/readings").json()


def test_a_reader_sees_nothing_of_another_until_both_have_done(blind: Desk) -> None:
    a, b = blind.visit("A. Reader"), blind.visit("B. Reader")
    first, second, third = a.names(3)
    for cell, called in ((first, "monocyte"), (second, "lymphocyte"), (third, "plasma_cell")):
        assert a.call(cell, called).status_code == 200
    assert b.cells()["standing"] == []
    assert b.client.get("/api/specimens/0/events").json()["events"] == []
    assert b.call(first, "monocyte").status_code == 200
    assert b.call(second, "granulocyte").status_code == 200
    assert readings(b)["calls"] == []
    assert [(r["reader"], r["called"], r["is_done"]) for r in readings(b)["readers"]] == [
        ("A. Reader", 3, False),
        ("B. Reader", 2, False),
    ]
    assert a.client.post("/api/specimens/0/readings/done").json()["is_reading"] is False
    assert readings(b)["is_reading"]
    assert {s["reader"] for s in b.cells()["standing"]} == {"B. Reader"}
    assert readings(b)["calls"] == []
    b.client.post("/api/specimens/0/readings/done")
    found = readings(b)
    assert {c["cell_id"]: c["calls"] for c in found["calls"]} == {
        first: {"A. Reader": "monocyte", "B. Reader": "monocyte"},
        second: {"A. Reader": "lymphocyte", "B. Reader": "granulocyte"},
        third: {"A. Reader": "plasma_cell"},
    }
    [pair] = found["agreement"]
    expected = compare_cells([("f", "monocyte", "monocyte"), ("f", "lymphocyte", "granulocyte")], 1, 0)
    assert (pair["matched"], pair["same_call"]) == (2, 0.5)
    assert pair["class_kappa"] == expected.class_kappa.value


def test_what_is_agreed_upon_is_what_is_signed(blind: Desk) -> None:
    a = blind.visit("A. Reader")
    [cell] = a.names(1)
    a.call(cell, "monocyte")
    assert a.client.post("/api/specimens/0/signature", json={"seen": 0}).status_code == 423
    assert a.client.post("/api/specimens/0/recount").status_code == 423
    assert a.client.get("/api/specimens/0/exports/cells").status_code == 423
    body = {"kind": "split", "action": "e", "cell": {"cell_id": cell, "seen": 0}}
    assert a.client.post("/api/fields/0/edits", json=body).status_code == 423
    a.client.post("/api/specimens/0/readings/done")
    # The reading is over: what is called now is the consensus, and the reading stays as it was.
    assert a.call(cell, "lymphocyte").status_code == 200
    assert readings(a)["calls"][0]["calls"] == {"A. Reader": "monocyte"}
    [standing] = blind.visit("B. Reader").client.get("/api/specimens/0/readings").json()["readers"]
    assert standing["called"] == 1
    again = Desk(blind.out, is_blind=True).visit("A. Reader")
    assert [s["becomes"] for s in again.cells()["standing"] if s["kind"] == "call"] == ["lymphocyte"]


def test_who_read_openly_before_is_compared_with_who_reads_blind_after(run: Path) -> None:
    openly = Desk(run)
    a = openly.visit("A. Reader")
    first, second = a.names(2)
    a.call(first, "monocyte")
    a.call(second, "lymphocyte")
    openly.log.close()
    desk = Desk(run, is_blind=True)
    b = desk.visit("B. Reader")
    assert b.cells()["standing"] == []
    b.call(first, "granulocyte")
    assert [(r["reader"], r["called"], r["is_done"]) for r in readings(b)["readers"]] == [
        ("A. Reader", 2, True),
        ("B. Reader", 1, False),
    ]
    b.client.post("/api/specimens/0/readings/done")
    b.call(second, "monocyte")  # the consensus, which is no reading
    found = readings(b)
    assert {c["cell_id"]: c["calls"] for c in found["calls"]} == {
        first: {"A. Reader": "monocyte", "B. Reader": "granulocyte"},
        second: {"A. Reader": "lymphocyte"},
    }
    [pair] = found["agreement"]
    assert (pair["matched"], pair["same_call"]) == (1, 0.0)
    desk.log.close()


def test_readers_who_do_not_read_blind_share_all(visit: Visit) -> None:
    found = readings(visit)
    assert (found["is_blind"], found["is_reading"], found["readers"]) == (False, False, [])
    assert visit.client.post("/api/specimens/0/readings/done").json()["readers"] == []


def test_who_reads_blind_has_what_was_added_before_in_list_and_count(run: Path) -> None:
    opened = Desk(run)
    visit = opened.visit("A. Reader")
    x, y = find_free(visit.cells())
    ring = [(x - 8, y - 8), (x + 8, y - 8), (x + 8, y + 8), (x - 8, y + 8)]
    body = {"kind": "draw", "action": "e", "cell": ring, "nucleus": ring}
    added = visit.client.post("/api/fields/0/edits", json=body).json()["events"][0]["subject"]
    opened.log.close()
    blind = Desk(run, is_blind=True)
    reader = blind.visit("B. Reader")
    assert reader.call(added, "lymphocyte").status_code == 200
    shown = reader.client.get("/api/specimens/0/differential").json()
    assert added in reader.cells()["cell_id"]
    assert (shown["cells"], shown["confirmed"]) == (len(reader.cells()["cell_id"]), 1)
    assert [flag for flag in shown["differential"]["flags"] if flag["name"] == "review_lost"] == []
    blind.log.close()
