"""Pictures that are sent: counted as ``erythron count`` would, and nothing of an attack stays or is run."""

from __future__ import annotations

import gzip
import html
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from erythron.pipeline.added import UPLOADS
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.results.record import RECORD, read_record
from erythron.review_page import intake, uploads
from tests.review_page.conftest import Desk, Visit, encode

Pixels = NDArray[np.uint8]


def send(visit: Visit, content: Any, **asked: Any) -> httpx.Response:
    answer: httpx.Response = visit.client.post("/api/images", params=asked, content=content)
    return answer


def show(visit: Visit, job: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = visit.client.get(f"/api/jobs/{job}").json()
    return found


def list_files(out: Path) -> list[str]:
    """Return what lies in the folder of pictures that were sent."""
    return sorted(path.name for path in (out / UPLOADS).rglob("*") if path.is_file())


def make_bomb(side: int = 60_000) -> bytes:
    """Return a PNG of a few kilobytes that would be gigabytes of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def make_tiff_bomb(side: int = 60_000) -> bytes:
    """Return a TIFF of a few bytes that says it is of gigabytes of pixels."""
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 9)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(40)


@pytest.fixture(scope="module")
def attacked(counted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A review that takes small pictures, and whose run no attack may change."""
    import shutil

    out = tmp_path_factory.mktemp("attacked") / "run"
    shutil.copytree(counted, out)
    desk = Desk(out, most_upload_bytes=100_000)
    yield desk
    desk.log.close()


@pytest.fixture(scope="module")
def attacker(attacked: Desk) -> Visit:
    return attacked.visit()


def test_a_picture_that_is_sent_is_a_field_of_the_run_for_every_reader(
    desk: Desk, visit: Visit, smear: Pixels, tmp_path: Path
) -> None:
    other = desk.visit("B. Reader")
    before = len(other.cells()["cell_id"])
    known = visit.client.get("/api/specimens/0/events").json()["fields"]
    name = "../../<script>alert(1)</script>.png"
    answer = send(visit, encode(smear), name=name, mpp=0.3)
    assert answer.status_code == 202
    assert answer.headers["location"] == "/api/jobs/1"
    assert answer.json()["state"] == "queued"
    assert desk.uploads.count_next()
    job = show(visit)
    assert (job["state"], job["name"], job["reader"], job["field"]) == ("done", name, "A. Reader", 2)
    for link in job["links"].values():
        assert visit.client.get(link).status_code == 200

    cells = other.cells()
    new = [c for c, field in zip(cells["cell_id"], cells["field"], strict=True) if field == 2]
    assert new
    assert len(cells["cell_id"]) == before + len(new)
    assert other.client.get("/api/specimens/0/events").json()["fields"] == known + 1
    assert other.call(new[0], "monocyte", field=2).status_code == 200

    # It is what ``erythron count`` makes of it, and the report has its name as text.
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "f.png").write_bytes(encode(smear))
    count_images(find_images([tmp_path / "alone"]), tmp_path / "count", RunOptions(mpp=0.3))
    [folder] = [p.parent for p in desk.out.rglob(RECORD) if len(p.parent.name) == 64]
    assert read_cells(folder).drop("image").equals(read_cells(tmp_path / "count" / "f").drop("image"))
    report = (desk.out / "report.html").read_text(encoding="utf-8")
    assert html.escape(name) in report
    assert name not in report

    # The next start finds it as it was: same number, same name, the call, and nothing to count.
    again = Desk(desk.out)
    [specimen] = again.visit().client.get("/api/run").json()["specimens"]
    assert [field["title"] for field in specimen["fields"]] == ["f0.png", "f1.png", name]
    assert [s["field"] for s in again.visit().cells()["standing"]] == [2]
    assert not again.uploads.count_next()


def test_the_same_picture_is_counted_once_and_said(desk: Desk, visit: Visit, smear: Pixels) -> None:
    send(visit, encode(smear), name="a.png")
    assert send(visit, encode(smear), name="b.png").json()["id"] == 1
    desk.uploads.count_next()
    assert send(visit, encode(smear)).json()["state"] == "done"
    cells = len(visit.cells()["cell_id"])
    assert send(visit, encode(smear, "BMP"), name="copy.bmp").json()["id"] == 2
    desk.uploads.count_next()
    job = show(visit, 2)
    assert (job["state"], job["repeats"], job["field"]) == ("done", "a.png", 2)
    assert len(visit.cells()["cell_id"]) == cells
    assert "show the same pixels" in (desk.out / "report.html").read_text(encoding="utf-8")


def test_a_signed_result_takes_no_picture_and_one_that_waits_keeps_it_from_being_signed(
    desk: Desk, visit: Visit, smear: Pixels
) -> None:
    assert send(visit, encode(smear)).status_code == 202
    answer = visit.client.post("/api/specimens/0/signature", json={"seen": 0})
    assert answer.status_code == 409
    assert "still to be counted" in answer.json()["detail"]
    desk.uploads.count_next()
    assert visit.client.post("/api/specimens/0/signature", json={"seen": 0}).status_code == 200
    other = encode(smear[::-1])
    assert send(visit, other).status_code == 423
    assert len(list_files(desk.out)) == 1
    # One that came in the same moment waits until the result is opened again.
    visit.client.delete("/api/specimens/0/signature")
    send(visit, other)
    desk.app.state.book.is_signed = lambda _: True
    assert not desk.uploads.count_next()
    assert show(visit, 2)["state"] == "queued"


def test_pictures_wait_for_another_run_in_the_folder(
    desk: Desk, visit: Visit, smear: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    from erythron.files.locking import lock_folder

    send(visit, encode(smear))
    with lock_folder(desk.out):
        assert not desk.uploads.count_next()
    assert show(visit)["state"] == "queued"
    assert desk.uploads.count_next()


CONTENTS = {
    "empty": b"",
    "page": b"<!doctype html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "gif": b"GIF89a/*" + bytes(200),
    "pdf": b"%PDF-1.7" + bytes(200),
    "zip": b"PK\x03\x04" + bytes(200),
    "form": b'--x\r\ncontent-disposition: form-data; name="f"\r\n\r\n\x89PNG\r\n\x1a\n\r\n--x--',
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_kind_is_told_by_content_alone(attacked: Desk, attacker: Visit, kind: str) -> None:
    """A suffix, a type and the lie of a header change nothing."""
    headers = {"content-type": "image/png"}
    answer = attacker.client.post("/api/images?name=a.png", content=CONTENTS[kind], headers=headers)
    assert answer.status_code == 415
    assert list_files(attacked.out) == []


def test_a_packed_body_is_not_unpacked(attacked: Desk, attacker: Visit) -> None:
    headers = {"content-encoding": "gzip"}
    packed = gzip.compress(bytes(10_000_000))
    assert attacker.client.post("/api/images", content=packed, headers=headers).status_code == 415
    assert send(attacker, packed).status_code == 415
    assert list_files(attacked.out) == []


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_picture_that_is_too_large_leaves_nothing(
    attacked: Desk, attacker: Visit, is_declared: bool
) -> None:
    start = encode(np.zeros((64, 64, 3), np.uint8))

    def stream() -> Iterator[bytes]:
        yield start
        yield from [bytes(60_000)] * 2

    content = start + bytes(120_000) if is_declared else stream()
    answer = send(attacker, content)
    assert answer.status_code == 413
    assert "100000 bytes" in answer.text
    assert list_files(attacked.out) == []


@pytest.mark.parametrize("kind", ["png bomb", "tiff bomb", "cut", "markup as BMP"])
def test_what_cannot_be_counted_leaves_the_run_as_it_was(
    attacked: Desk, attacker: Visit, smear: Pixels, kind: str
) -> None:
    content = {
        "png bomb": make_bomb(),
        "tiff bomb": make_tiff_bomb(),
        "cut": encode(smear)[:5_000],
        "markup as BMP": b"BM<script>alert(1)</script>" + bytes(200),
    }[kind]
    record = (attacked.out / "run.json").read_bytes()
    job = send(attacker, content, name="slide 7").json()["id"]
    attacked.uploads.count_next()
    found = show(attacker, job)
    assert found["state"] == "failed"
    assert found["reason"].startswith("slide 7: ")
    assert str(attacked.out) not in found["reason"]
    why = {"png bomb": "too large", "tiff bomb": "is a slide"}.get(kind)
    assert ("too large" in found["reason"] or "is a slide" in found["reason"]) == (why is not None)
    assert why is None or why in found["reason"]
    assert (attacked.out / "run.json").read_bytes() == record
    assert len(list(attacked.out.rglob(RECORD))) == 2


def test_what_is_a_picture_and_a_script_goes_out_as_a_picture(
    desk: Desk, visit: Visit, smear: Pixels
) -> None:
    script = b"<script>alert(1)</script>"
    send(visit, encode(smear) + script)
    desk.uploads.count_next()
    address = "/api/fields/2/region?left=0&top=0&width=160&height=120"
    answer = visit.client.get(address)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert script not in answer.content
    assert visit.client.get(f"/{UPLOADS}/0/{list_files(desk.out)[0]}").status_code == 404


NAMES = [
    "../../../../etc/cron.d/x",
    "/etc/passwd",
    "..\\..\\windows\\system32\\x.dll",
    "C:\\autoexec.bat",
    "a\0.png",
    "\u202egnp.exe",
    "\uff0e\uff0e/\u2025/x",
    "CON",
    '"><img src=x onerror=alert(1)>',
    "x" * 500,
    "\r\nset-cookie: a=b",
    "  ",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_names_no_file(attacked: Desk, attacker: Visit, smear: Pixels, name: str) -> None:
    number = NAMES.index(name)
    before = {path for path in attacked.out.parent.rglob("*") if UPLOADS not in path.parts}
    answer = send(attacker, encode(np.roll(smear, number, 1)), name=name)
    assert answer.status_code == 202
    shown = answer.json()["name"]
    assert 0 < len(shown) <= 120
    assert shown.isprintable()
    assert all(len(found.split(".")[0]) == 64 for found in list_files(attacked.out))
    assert {path for path in attacked.out.parent.rglob("*") if UPLOADS not in path.parts} == before
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-csrf-token": ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"cookie": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"host": "evil.example"}, 421),
    ],
)
def test_a_picture_of_nobody_is_not_stored(
    attacked: Desk, attacker: Visit, smear: Pixels, headers: dict[str, str], status: int
) -> None:
    before = list_files(attacked.out)
    content = encode(smear[:, ::-1])
    assert attacker.client.post("/api/images", content=content, headers=headers).status_code == status
    assert list_files(attacked.out) == before


def test_a_session_that_was_ended_sends_nothing(desk: Desk, visit: Visit, smear: Pixels) -> None:
    """A request that was overheard is worth nothing after its reader has left."""
    cookie = dict(visit.client.cookies)
    token = visit.client.headers["x-csrf-token"]
    assert visit.client.delete("/api/session").status_code == 204
    client = desk.stranger()
    client.cookies.update(cookie)
    answer = client.post("/api/images", content=encode(smear), headers={"x-csrf-token": token})
    assert answer.status_code == 401
    assert client.get("/api/jobs").status_code == 401
    assert list_files(desk.out) == []


def test_a_flood_is_stemmed(desk: Desk, visit: Visit, smear: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_WAITING", 2)
    for turn in range(2):
        assert send(visit, encode(np.roll(smear, turn, 0))).status_code == 202
    answer = send(visit, encode(smear[::-1]))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    # Also where the place went while the picture came in; one that waits already is known.
    monkeypatch.setattr(desk.uploads, "is_full", lambda: False)
    assert send(visit, encode(smear[::-1])).status_code == 429
    assert send(visit, encode(smear)).status_code == 202
    assert len(list_files(desk.out)) == 2
    jobs = visit.client.get("/api/jobs").json()
    assert ([job["id"] for job in jobs["jobs"]], jobs["waiting"]) == ([2, 1], 2)


@pytest.mark.parametrize("where", ["open_at", "keep_file", "database"])
def test_a_full_disk_is_said_and_nothing_half_is_left(
    desk: Desk, visit: Visit, smear: Pixels, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    if where == "database":
        monkeypatch.setattr(desk.uploads.jobs, "add", refuse)
    else:
        monkeypatch.setattr(intake, where, refuse)
    answer = send(visit, encode(smear))
    assert answer.status_code == 507
    assert "make room" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert list_files(desk.out) == []
    assert visit.client.get("/api/jobs").json()["jobs"] == []


def test_a_specimen_that_is_not_there_is_said(visit: Visit, smear: Pixels) -> None:
    assert send(visit, encode(smear), specimen=7).status_code == 404
    assert send(visit, encode(smear), mpp=0).status_code == 422
    assert visit.client.get("/api/jobs/9").status_code == 404


def test_the_record_of_the_field_has_its_name_and_scale(desk: Desk, visit: Visit, smear: Pixels) -> None:
    send(visit, encode(smear), name="smear of today", mpp=0.31)
    desk.uploads.count_next()
    [path] = [p for p in desk.out.rglob(RECORD) if len(p.parent.name) == 64]
    record = read_record(path.parent)
    assert record is not None
    assert (record.title, record.mpp) == ("smear of today", 0.31)
    # A recount knows both, and counts nothing again.
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    assert read_record(path.parent) == record
