"""A signed result locks, is what a recount and every export give, and a later change makes a new version."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy.exc import OperationalError

from erythron.cells.table import NOT_A_CELL
from erythron.differential.me_ratio import MERatio
from erythron.errors import DataError
from erythron.pipeline import count, count_worker, signing
from erythron.pipeline.count import count_images
from erythron.pipeline.finished import find_run
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import find_images
from erythron.report.model import RunReport
from erythron.results.field import read_cells
from erythron.results.review import read_review, write_review
from erythron.results.signature import read_signatures
from erythron.review.record import Review, Verdict
from erythron.review.store.events import Maker
from tests.review_page.conftest import Desk, Visit, find_free


def sign(visit: Visit) -> httpx.Response:
    last = visit.client.get("/api/specimens/0/events").json()["last"]
    answer: httpx.Response = visit.client.post("/api/specimens/0/signature", json={"seen": last})
    return answer


def export(visit: Visit, name: str) -> bytes:
    answer = visit.client.get(f"/api/specimens/0/exports/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    return answer.content


def test_a_signed_result_is_what_the_page_the_run_and_every_export_say(
    desk: Desk, visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = visit.names(3)
    visit.call(first, "plasma_cell")
    visit.call(second, NOT_A_CELL)
    visit.call(third, "monocyte")
    visit.call(third, "", seen=1)
    x, y = find_free(visit.cells())
    ring = [(x - 8, y - 8), (x + 8, y - 8), (x + 8, y + 8), (x - 8, y + 8)]
    body = {"kind": "draw", "action": "e", "cell": ring, "nucleus": ring}
    added = visit.client.post("/api/fields/0/edits", json=body).json()["events"][0]["subject"]
    visit.call(added, "lymphocyte", seen=1)
    shown = visit.client.get("/api/specimens/0/differential").json()["differential"]
    (desk.out / "report.pdf").write_bytes(b"%PDF-1.4\n<</Producer (Skia/PDF m120)>>\n%%EOF\n")
    with caplog.at_level(logging.WARNING, "erythron.notices"):
        answer = sign(visit)
    assert "was of the page before and was removed" in caplog.text
    assert not (desk.out / "report.pdf").exists()
    assert answer.status_code == 200, answer.text

    stored = json.loads(export(visit, "differential"))
    names = ("nucleated_cells", "classes", "unclassified", "me_ratio", "erythroid_share")
    assert {n: stored[n] for n in names} == {n: shown[n] for n in names}
    cells = pl.read_csv(export(visit, "cells"))
    confirmed = dict(cells.drop_nulls("confirmed_as").select("cell_id", "confirmed_as").iter_rows())
    assert confirmed == {first: "plasma_cell", second: NOT_A_CELL, added: "lymphocyte"}
    summary = pl.read_csv(export(visit, "summary"))
    line = next(c for c in shown["classes"] if c["name"] == "plasma_cell")
    assert summary["count_plasma_cell"].sum() == line["count"]
    report = export(visit, "report").decode()
    assert "Signed by A. Reader" in report
    assert "version 1" in report
    review = read_review(desk.out / "f0")
    assert review is not None
    assert [(v.cell_id, v.called, v.reader) for v in review.verdicts] == [
        (first, "plasma_cell", "A. Reader"),
        (second, NOT_A_CELL, "A. Reader"),
        (third, "monocyte", "A. Reader"),
        (third, "", "A. Reader"),
        (added, "", "A. Reader"),
        (added, "lymphocyte", "A. Reader"),
    ]


def test_a_signed_result_is_locked_and_a_later_change_is_a_new_version(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    assert sign(visit).status_code == 200
    assert visit.call(cell, "monocyte", seen=1).status_code == 423
    assert sign(visit).status_code == 423
    # The lock holds for the next server, and for a signature that was just missed.
    again = Desk(desk.out).visit("B. Reader")
    assert again.call(cell, "monocyte", seen=1).status_code == 423
    first = (desk.out / "signed-versions/version-1-report.html").read_bytes()
    assert visit.client.delete("/api/specimens/0/signature").status_code == 200
    assert visit.call(cell, "monocyte", seen=1).status_code == 200
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    report = export(visit, "report").decode()
    assert "Not signed as it stands" in report
    assert "Signature of another state." in report.split('id="differential"')[0]  # on the first printed page
    assert "Signed by" not in report
    assert sign(visit).status_code == 200
    found = visit.client.get("/api/specimens/0/signature").json()
    assert found["is_signed"]
    assert [v["version"] for v in found["versions"]] == [1, 2]
    assert (desk.out / "signed-versions/version-1-report.html").read_bytes() == first
    assert "version 2" in export(visit, "report").decode()
    events = [e["becomes"] for e in again.client.get("/api/specimens/0/events").json()["events"]]
    assert events == ["plasma_cell", "signed", "opened", "monocyte", "signed"]


def test_signatures_stay_where_a_count_adds_an_image_after_which_the_run_is_called_otherwise(
    desk: Desk, visit: Visit, smear: NDArray[np.uint8], tmp_path: Path
) -> None:
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    assert sign(visit).status_code == 200
    before = visit.client.get("/api/run").json()["specimens"][0]["name"]
    (tmp_path / "later").mkdir()
    Image.fromarray(smear).save(tmp_path / "later" / "f9.png")
    images = [image.path for specimen in find_run(desk.out).specimens for image in specimen.images]
    later = find_images([*images, tmp_path / "later" / "f9.png"])
    assert count_images(later, desk.out, RunOptions(mpp=0.25)).failures == ()
    again = Desk(desk.out).visit()
    assert again.client.get("/api/run").json()["specimens"][0]["name"] != before
    # What is signed is locked still, and the next signature is the second.
    assert again.call(cell, "monocyte", seen=1).status_code == 423
    assert again.client.delete("/api/specimens/0/signature").status_code == 200
    assert sign(again).status_code == 200
    assert [signature.version for signature in read_signatures(desk.out)] == [1, 2]


def test_what_somebody_changed_since_is_not_signed_unseen(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    desk.visit("B. Reader").call(cell, "monocyte")
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": 0})
    assert answer.status_code == 409
    assert answer.json()["current"][0]["reader"] == "B. Reader"
    assert not visit.client.get("/api/specimens/0/signature").json()["is_signed"]


def test_calls_that_came_beside_the_page_are_not_signed_unseen(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    review = Review(image=desk.app.state.book.run.fields[0].name)
    at = datetime(2026, 5, 4, tzinfo=UTC)
    verdict = Verdict(
        cell_id=cell, called="monocyte", was="other", reader="B. Reader", at=at, source="cells.csv"
    )
    write_review(desk.out / "f0", review.model_copy(update={"verdicts": (verdict,)}))
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": 0})
    assert answer.status_code == 409
    assert answer.json()["current"][0]["reader"] == "B. Reader"
    assert visit.cells()["standing"][0]["becomes"] == "monocyte"


@pytest.mark.parametrize("how", ["counted otherwise", "gone", "grown"])
def test_another_count_than_the_page_shows_is_not_signed(how: str, desk: Desk, visit: Visit) -> None:
    record = desk.out / "f1" / "record.json"
    content = json.loads(record.read_text())
    if how == "counted otherwise":
        content["fingerprints"]["calls"] = "0" * 64
        record.write_text(json.dumps(content))
    elif how == "gone":
        record.unlink()
    else:
        shutil.copytree(desk.out / "f1", desk.out / "f2")
        content["image"] = content["image"].replace("f1.png", "f2.png")
        (desk.out / "f2" / "record.json").write_text(json.dumps(content))
        run = json.loads((desk.out / "run.json").read_text())
        run["inputs"].append(content["image"])
        (desk.out / "run.json").write_text(json.dumps(run))
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": 0})
    assert answer.status_code == 422
    assert "was counted again since this page was opened" in answer.json()["detail"]
    assert not visit.client.get("/api/specimens/0/signature").json()["is_signed"]


def test_nobody_signs_what_is_still_to_come(visit: Visit) -> None:
    """A program that says it has seen every change to come would sign what it has not seen."""
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": 2**53})
    assert answer.status_code == 422
    assert "no change has that number yet" in answer.json()["detail"]


def test_a_database_that_another_program_holds_is_said(
    desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    [cell] = visit.names(1)

    def fail(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    monkeypatch.setattr(desk.log, "append", fail)
    answer = visit.call(cell, "monocyte")
    assert answer.status_code == 503
    assert "nothing was stored" in answer.json()["detail"]


@pytest.mark.parametrize("where", ["take_labels", "change"])
def test_calls_that_another_program_takes_in_at_that_moment_are_neither_signed_nor_lost(
    where: str, desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [cell, other] = visit.names(2)
    visit.call(cell, "plasma_cell")
    book, labels = desk.app.state.book, tmp_path / "labels.csv"
    image = read_cells(desk.out / "f0")["image"][0]
    labels.write_text(f"image,cell_id,counted_as\n{image},{other},monocyte\n", encoding="utf-8")
    as_it_is = getattr(book, where)

    def be_overtaken(*words: object) -> object:
        found = as_it_is(*words)
        monkeypatch.setattr(book, where, as_it_is)
        recount(desk.out, [labels], Reading("B. Reader", datetime(2030, 5, 4, tzinfo=UTC)))
        return found

    monkeypatch.setattr(book, where, be_overtaken)
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": book.refresh()})
    assert answer.status_code == 422
    assert "another program took in calls of this image" in answer.json()["detail"]
    assert read_signatures(desk.out) == ()
    assert not visit.client.get("/api/specimens/0/signature").json()["is_signed"]
    review = read_review(desk.out / "f0")
    assert review is not None
    assert "monocyte" in {verdict.called for verdict in review.verdicts if verdict.cell_id == other}


def cut_short(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign as A. Reader in a server that ends before the result is counted again."""

    def crash(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr("erythron.review_page.signer.sign_result", crash)
    book = desk.app.state.book
    maker = Maker("A. Reader", datetime.now(UTC), "action", "test")
    with pytest.raises(SystemExit):
        desk.app.state.signer.sign(book.run.specimens[0], book.refresh(), maker)
    monkeypatch.undo()
    assert read_signatures(desk.out) == ()


def test_a_signature_that_a_crash_cut_short_is_finished_at_the_next_start(
    desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    cut_short(desk, monkeypatch)
    assert Desk(desk.out).visit().client.get("/api/specimens/0/signature").json()["is_signed"]
    [signature] = read_signatures(desk.out)
    assert signature.reader == "A. Reader"


@pytest.mark.parametrize("how", ["scale", "options", "labels"])
def test_a_signature_that_was_cut_short_is_of_no_other_result(
    how: str,
    desk: Desk,
    visit: Visit,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a run that was counted or called otherwise meanwhile that was signed in the reader's name."""
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    cut_short(desk, monkeypatch)
    images = find_images([image.path for one in find_run(desk.out).specimens for image in one.images])
    if how == "scale":
        count_images(images, desk.out, RunOptions(mpp=0.29, force=True))
    elif how == "options":
        count_images(images, desk.out, RunOptions(mpp=0.25, me_ratio=MERatio.GRANULOCYTIC))
    else:
        labels, image = tmp_path / "labels.csv", read_cells(desk.out / "f0")["image"][0]
        labels.write_text(f"image,cell_id,counted_as\n{image},{cell},monocyte\n", encoding="utf-8")
        recount(desk.out, [labels], Reading("B. Reader", datetime(2030, 5, 4, tzinfo=UTC)))
    with caplog.at_level(logging.WARNING, "erythron.notices"):
        again = Desk(desk.out).visit()
    assert "A. Reader had signed it just before the server ended" in caplog.text
    assert read_signatures(desk.out) == ()
    assert not again.client.get("/api/specimens/0/signature").json()["is_signed"]
    # Who has looked at it signs what the page shows, as version 1.
    shown = again.client.get("/api/specimens/0/differential").json()["differential"]
    assert [version["version"] for version in sign(again).json()["versions"]] == [1]
    stored = json.loads(export(again, "differential"))
    names = ("nucleated_cells", "classes", "unclassified", "me_ratio", "erythroid_share")
    assert {n: stored[n] for n in names} == {n: shown[n] for n in names}


def test_other_options_than_the_page_shows_are_not_signed(desk: Desk, visit: Visit) -> None:
    """The page went on to show the M:E of the options with which it was opened."""
    images = find_images([image.path for one in find_run(desk.out).specimens for image in one.images])
    count_images(images, desk.out, RunOptions(mpp=0.25, me_ratio=MERatio.GRANULOCYTIC))
    answer = sign(visit)
    assert answer.status_code == 422
    assert "was counted again since this page was opened" in answer.json()["detail"]
    assert sign(Desk(desk.out).visit()).status_code == 200


def test_a_signature_makes_one_report_and_outlines_nothing_again(
    desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who signs waits for it: the count before made two reports and traced every outline anew."""
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    before = (desk.out / "f0" / "cells.geojson").read_text()
    reports: list[RunReport] = []
    traced: list[int] = []
    render, trace = count.render_report, count_worker.trace_cells
    monkeypatch.setattr(count, "render_report", lambda page: (reports.append(page), render(page))[1])
    monkeypatch.setattr(count_worker, "trace_cells", lambda o: (traced.append(len(o)), trace(o))[1])
    assert sign(visit).status_code == 200
    assert [report.is_signed for report in reports] == [True]
    assert traced == [0]
    after = (desk.out / "f0" / "cells.geojson").read_text()
    coordinates = [
        [feature["geometry"] for feature in json.loads(text)["features"]] for text in (before, after)
    ]
    assert coordinates[0] == coordinates[1]


def test_what_is_not_signed_in_the_end_is_not_said_to_be(
    desk: Desk, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DataError("the version cannot be kept")

    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    monkeypatch.setattr(signing, "_keep_version", fail)
    assert sign(visit).status_code == 422
    assert read_signatures(desk.out) == ()
    assert "Signed by" not in (desk.out / "report.html").read_text()
    assert "A. Reader" in (desk.out / "report.html").read_text()


def test_a_result_that_cannot_be_counted_again_stays_open(desk: Desk, visit: Visit) -> None:
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    picture = Path(desk.app.state.book.run.fields[0].path)
    moved = picture.with_suffix(".away")
    picture.rename(moved)
    try:
        answer = sign(visit)
    finally:
        moved.rename(picture)
    assert answer.status_code == 422
    assert not visit.client.get("/api/specimens/0/signature").json()["is_signed"]
    assert visit.call(cell, "monocyte", seen=1).status_code == 200
    assert sign(visit).json()["versions"][0]["version"] == 1


def test_what_is_signed_is_what_the_page_showed_whichever_way_each_call_came(
    desk: Desk, visit: Visit, tmp_path: Path
) -> None:
    """A call on the page, then one of the same cell by a file of labels: the page shows the latter."""
    [cell] = visit.names(1)
    visit.call(cell, "plasma_cell")
    image = read_cells(desk.out / "f0")["image"][0]
    labels = tmp_path / "labels.csv"
    labels.write_text(f"image,cell_id,counted_as\n{image},{cell},monocyte\n", encoding="utf-8")
    recount(desk.out, [labels], Reading("B. Reader", datetime(2030, 5, 4, tzinfo=UTC)))
    again = Desk(desk.out).visit()
    assert [s["becomes"] for s in again.cells()["standing"]] == ["monocyte"]
    assert sign(again).status_code == 200
    cells = read_cells(desk.out / "f0")
    assert cells.filter(pl.col("cell_id") == cell)["counted_as"].item() == "monocyte"


def test_the_later_of_two_calls_holds_whichever_way_they_came(
    desk: Desk, visit: Visit, tmp_path: Path
) -> None:
    """A call by a file of labels, then one on the open page, which had not seen the former."""
    [cell] = visit.names(1)
    image = read_cells(desk.out / "f0")["image"][0]
    labels = tmp_path / "labels.csv"
    labels.write_text(f"image,cell_id,counted_as\n{image},{cell},monocyte\n", encoding="utf-8")
    recount(desk.out, [labels], Reading("B. Reader", datetime(2020, 5, 4, tzinfo=UTC)))
    visit.call(cell, "plasma_cell")
    answer = sign(visit)
    assert answer.status_code == 409  # the reader is told first
    assert {event["reader"] for event in answer.json()["current"]} == {"A. Reader", "B. Reader"}
    for reader in (visit, Desk(desk.out).visit()):
        assert [s["becomes"] for s in reader.cells()["standing"]] == ["plasma_cell"]
        events = reader.client.get("/api/specimens/0/events").json()["events"]
        assert [e["becomes"] for e in events] == ["plasma_cell", "monocyte", "plasma_cell"]
    assert sign(visit).status_code == 200
    assert dict(read_cells(desk.out / "f0").select("cell_id", "confirmed_as").iter_rows())[cell] == (
        "plasma_cell"
    )
    assert "B. Reader" in export(visit, "report").decode()
