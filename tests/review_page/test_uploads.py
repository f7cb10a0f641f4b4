"""What was acknowledged is counted, whatever breaks meanwhile, and every server of the run shows it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from erythron.pipeline.added import NewImage
from erythron.pipeline.count import count_specimens
from erythron.pipeline.options import RunOptions
from erythron.pipeline.specimens import group_images
from erythron.read.inputs import find_images
from erythron.review_page.counter import CrashError, Outcome
from erythron.review_page.uploads import MOST_CRASHES
from tests.review_page.conftest import Desk, Visit, encode
from tests.review_page.test_server import come_in, start

Pixels = NDArray[np.uint8]


class Breaking:
    """A process that ends with every picture."""

    def count(self, _: NewImage) -> Outcome:
        raise CrashError

    def stop(self) -> None:
        """Nothing goes on."""


def send(visit: Visit, rgb: Pixels, **asked: object) -> int:
    answer = visit.client.post("/api/images", params=asked, content=encode(rgb))
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def test_a_killed_server_loses_no_picture_that_it_acknowledged(run: Path, smear: Pixels) -> None:
    process, link = start(run)
    client = come_in(link)
    for turn in range(2):
        content = encode(np.roll(smear, turn, 1))
        assert client.post("/api/images", params={"name": f"s{turn}"}, content=content).status_code == 202
    while client.get("/api/jobs/1").json()["state"] == "queued":
        time.sleep(0.02)
    process.kill()
    process.wait()
    desk = Desk(run)
    desk.uploads.jobs.put_back()
    ends = time.monotonic() + 30
    while desk.uploads.jobs.count_waiting() and time.monotonic() < ends:
        if not desk.uploads.count_next():  # the process that counted may still write the end of its field
            time.sleep(0.1)
    jobs = desk.visit().client.get("/api/jobs").json()["jobs"]
    assert [(job["name"], job["state"], job["field"]) for job in jobs] == [
        ("s1", "done", 3),
        ("s0", "done", 2),
    ]


def test_a_picture_that_breaks_the_program_is_given_up(run: Path, smear: Pixels) -> None:
    desk = Desk(run, counter=Breaking())
    visit = desk.visit()
    send(visit, smear, name="s")
    for turn in range(MOST_CRASHES):
        assert visit.client.get("/api/jobs/1").json()["state"] == "queued", turn
        desk.uploads.count_next()
    job = visit.client.get("/api/jobs/1").json()
    assert job["state"] == "failed"
    assert job["reason"].startswith("s: ended the program that counts it")
    # Sent again, it is another job.
    assert send(visit, smear) == 2


def test_a_server_that_is_stopped_goes_on_at_the_next_start(run: Path, smear: Pixels) -> None:
    desk = Desk(run, counter=Breaking())
    for _ in range(MOST_CRASHES + 1):
        send(desk.visit(), smear)
        desk.uploads._stop.set()
        desk.uploads.count_next()
    again = Desk(run)
    assert again.uploads.count_next()
    assert again.visit().client.get("/api/jobs/1").json()["state"] == "done"


def test_the_page_shows_what_another_server_of_the_run_has_counted(
    desk: Desk, visit: Visit, smear: Pixels
) -> None:
    other = Desk(desk.out).visit("B. Reader")
    send(visit, smear)
    desk.uploads.count_next()
    names = visit.cells()
    new = next(c for c, f in zip(names["cell_id"], names["field"], strict=True) if f == 2)
    visit.call(new, "monocyte", field=2)
    other.client.app.state.uploads.follow()  # type: ignore[attr-defined]
    assert other.cells()["cell_id"] == names["cell_id"]
    assert [s["field"] for s in other.cells()["standing"]] == [2]


def test_a_picture_joins_the_specimen_that_is_named(tmp_path: Path, smear: Pixels) -> None:
    for number, name in enumerate(("p1", "p2")):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "f.png").write_bytes(encode(np.roll(smear, 9 * number, 0)))
    (tmp_path / "in" / "p3").mkdir()
    (tmp_path / "in" / "p3" / "f.png").write_text("no picture")
    specimens = group_images(find_images([tmp_path / "in"]), "folder")
    count_specimens(specimens, tmp_path / "run", RunOptions(mpp=0.25))
    desk = Desk(tmp_path / "run")
    visit = desk.visit()
    # A specimen of which no image could be counted is shown too, and why it is empty.
    assert visit.client.get("/api/specimens/2/cells").json()["cell_id"] == []
    assert visit.client.get("/api/specimens/2/queue").json()["cell_id"] == []
    empty = visit.client.get("/api/specimens/2/differential").json()
    assert (empty["nothing_counted"], empty["is_provisional"]) == ("no image could be counted", False)
    assert visit.client.post("/api/specimens/2/signature", json={"seen": 0}).status_code == 200
    assert visit.client.get("/api/specimens/2/exports/cells").status_code == 200
    send(visit, smear[::-1], name="late", specimen=0)
    # The same pixels for another specimen are counted there too, and the report asks whose they are.
    send(visit, smear[::-1], name="late", specimen=1)
    while desk.uploads.count_next():
        pass
    found = [
        [(field["number"], field["title"]) for field in specimen["fields"]]
        for specimen in visit.client.get("/api/run").json()["specimens"]
    ]
    assert found == [[(0, "f.png"), (2, "late")], [(1, "f.png"), (3, "late")], []]
    for number, name in enumerate(("p1", "p2")):
        report = (tmp_path / "run" / name / "report.html").read_text(encoding="utf-8")
        assert "of another specimen" in report
        shown = visit.client.get(f"/api/specimens/{number}/differential").json()
        assert "image_of_another_specimen" in [flag["name"] for flag in shown["differential"]["flags"]]
    again = Desk(tmp_path / "run").visit().client.get("/api/run").json()["specimens"]
    assert [[(f["number"], f["title"]) for f in one["fields"]] for one in again] == found


@pytest.mark.parametrize("is_stopped", [True, False])
def test_the_thread_counts_what_waits_and_stops(run: Path, smear: Pixels, is_stopped: bool) -> None:
    desk = Desk(run)
    visit = desk.visit()
    if not is_stopped:
        send(visit, smear)
    desk.uploads.start()
    ends = time.monotonic() + 20
    while desk.uploads.jobs.count_waiting() and time.monotonic() < ends:
        time.sleep(0.05)
    desk.uploads.stop()
    assert [job.state.value for job in desk.uploads.jobs.list_last(9)] == ([] if is_stopped else ["done"])
