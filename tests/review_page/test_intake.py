"""A picture goes to the disk as it comes: never whole in memory, and nothing stays of one that breaks off."""

from __future__ import annotations

import asyncio
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from erythron.files.hashing import hash_file
from erythron.review_page import intake
from erythron.review_page.intake import MOST_AT_ONCE, Intake, SlowError, Stored, TooManyAtOnceError
from tests.review_page.conftest import PASSWORD, Desk, encode

START = b"\x89PNG\r\n\x1a\n"


async def come(pieces: int, size: int = 65_536) -> AsyncIterator[bytes]:
    yield START
    for _ in range(pieces):
        yield bytes(size)


async def stall() -> AsyncIterator[bytes]:
    yield START
    await asyncio.sleep(30)


def test_a_large_picture_is_never_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    stored = asyncio.run(Intake().take(come(1000), tmp_path, lambda stored: stored))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stored.path.stat().st_size == 65_536_008
    assert stored == Stored(tmp_path / f"{hash_file(stored.path)}.png", hash_file(stored.path))
    assert most < 8_000_000


def test_a_sender_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_PATIENCE_S", 0.05)
    with pytest.raises(SlowError):
        asyncio.run(Intake().take(stall(), tmp_path, lambda stored: stored))
    assert list(tmp_path.iterdir()) == []


def test_few_come_in_at_one_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_PATIENCE_S", 0.2)

    async def take_all() -> list[object]:
        door = Intake()
        waiting = [door.take(stall(), tmp_path, lambda stored: stored) for _ in range(MOST_AT_ONCE + 1)]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        await door.take(come(1), tmp_path, lambda stored: stored)  # the places are free again
        return list(found)

    kinds = [type(one) for one in asyncio.run(take_all())]
    assert kinds == [*[SlowError] * MOST_AT_ONCE, TooManyAtOnceError]


def test_what_the_record_refuses_goes_and_what_another_has_entered_stays(tmp_path: Path) -> None:
    def refuse(_: Stored) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(Intake().take(come(1), tmp_path, refuse))
    assert list(tmp_path.iterdir()) == []
    kept = asyncio.run(Intake().take(come(1), tmp_path, lambda stored: stored))
    with pytest.raises(KeyError):
        asyncio.run(Intake().take(come(1), tmp_path, refuse))
    assert list(tmp_path.iterdir()) == [kept.path]


@pytest.fixture(scope="module")
def port(counted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, int]]:
    """A review behind the server that is used, for what only broken HTTP shows."""
    import shutil

    out = tmp_path_factory.mktemp("served") / "run"
    shutil.copytree(counted, out)
    desk = Desk(out)
    server = uvicorn.Server(uvicorn.Config(desk.app, port=0, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield desk, server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()
    desk.log.close()


@pytest.mark.parametrize(
    ("length", "status"),
    [("900000", b""), ("999999999999", b"413"), ("-1", b"400"), ("1e3", b"400"), ("70, 71", b"400")],
)
def test_a_length_that_is_a_lie_stores_nothing(port: tuple[Desk, int], length: str, status: bytes) -> None:
    desk, number = port
    head = (
        f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{number}\r\nAuthorization: Bearer {PASSWORD}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", number), timeout=10) as line:
        line.sendall(head.encode() + encode(np.zeros((64, 64, 3), np.uint8)))
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(4096)
    assert answer.split(b" ")[1:2] == ([status] if status else [])
    assert desk.jobs.list_last(10) == ()
    assert [path for path in (desk.out / "uploads").rglob("*") if path.is_file()] == []


def test_what_follows_the_stated_length_is_not_of_the_picture(port: tuple[Desk, int]) -> None:
    desk, number = port
    content = encode(np.zeros((64, 64, 3), np.uint8))
    head = (
        f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{number}\r\nAuthorization: Bearer {PASSWORD}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    smuggled = b"DELETE /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", number), timeout=10) as line:
        line.sendall(head.encode() + content + smuggled)
        answer = line.recv(4096)
    assert answer.startswith(b"HTTP/1.1 202")
    [job] = desk.jobs.list_last(10)
    assert Path(job.sent.image).read_bytes() == content
