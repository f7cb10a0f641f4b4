"""The review follows its database, and takes in calls that came through files of labels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from tests.review_page.conftest import Desk, Visit

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def test_calls_outlive_the_server(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    visit.call(cell, "monocyte")
    again = Desk(desk.out).visit("B. Reader")
    assert [(s["subject"], s["becomes"]) for s in again.cells()["standing"]] == [(cell, "monocyte")]


def test_two_servers_of_one_database_see_each_other(desk: Desk, visit: Visit) -> None:
    other = Desk(desk.out).visit("B. Reader")
    [cell] = visit.names(1)
    visit.call(cell, "monocyte")
    assert other.call(cell, "lymphocyte").status_code == 409
    assert other.call(cell, "lymphocyte", seen=1).status_code == 200
    [standing] = visit.cells()["standing"]
    assert standing["becomes"] == "lymphocyte"


def test_calls_of_a_file_of_labels_stand_on_the_page_once(run: Path, tmp_path: Path) -> None:
    table = read_cells(run / "f0")
    cell, was = table["cell_id"][0], table["counted_as"][0]
    new = "monocyte" if was != "monocyte" else "lymphocyte"
    labels = tmp_path / "labels.csv"
    labels.write_text(f"image,cell_id,counted_as\n{table['image'][0]},{cell},{new}\n", encoding="utf-8")
    recount(run, [labels], Reading("C. Reader", NOW))
    for _ in range(2):
        [standing] = Desk(run).visit().cells()["standing"]
        assert (standing["subject"], standing["becomes"], standing["reader"]) == (cell, new, "C. Reader")
        assert standing["version"] == 1


def test_fields_that_show_the_same_cells_are_said_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    drawn = Image.fromarray(draw_field(DrawnFieldSpec(260, 220, seed=1)).rgb)
    drawn.save(tmp_path / "in" / "field.png")
    drawn.rotate(180).save(tmp_path / "in" / "turned.png")
    run = count_images(find_images([tmp_path / "in"]), tmp_path / "run", RunOptions(mpp=0.25))
    visit = Desk(tmp_path / "run").visit()

    def list_flags() -> list[dict[str, str]]:
        return list(visit.client.get("/api/specimens/0/differential").json()["differential"]["flags"])

    assert [flag["text"] for flag in list_flags()] == [flag.text for flag in run.differential.flags]
    assert "images_overlap" in [flag["name"] for flag in list_flags()]
    cells = visit.cells()
    for field, cell in zip(cells["field"], cells["cell_id"], strict=True):
        if field == 1:
            assert visit.call(cell, "not_a_cell", field=1).status_code == 200
    assert "images_overlap" not in [flag["name"] for flag in list_flags()]
