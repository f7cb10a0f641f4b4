"""A small counted run, and the review of it as a client sees it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from erythron.pipeline.added import NewImage
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import EventLog
from erythron.review.store.jobs import JobLog
from erythron.review_page.app import PageSettings, create_app
from erythron.review_page.counter import Outcome, count_new
from erythron.review_page.intake import MAX_UPLOAD_BYTES
from erythron.review_page.run import ReviewedRun
from erythron.review_page.sessions import Sessions
from erythron.review_page.uploads import Counter, Uploads
from erythron.synthetic.field import DrawnFieldSpec, draw_field

HERE = "http://127.0.0.1:18500"
PASSWORD = "a password of the laboratory"  # noqa: S105 - of no server


@dataclass
class Visit:
    """One reader at one browser.

    Attributes:
        client: sends the session's cookie and the page's token.
        reader: the person's name.
    """

    client: TestClient
    reader: str

    def cells(self) -> dict[str, Any]:
        """Return the cells of the first specimen as columns."""
        found: dict[str, Any] = self.client.get("/api/specimens/0/cells").json()
        return found

    def names(self, count: int) -> list[str]:
        """Return the names of the first cells of the first field."""
        names: list[str] = self.cells()["cell_id"][:count]
        return names

    def call(self, cell_id: str, called: str, seen: int = 0, field: int = 0) -> Any:
        """Call one cell and return the answer."""
        call = {"field": field, "cell_id": cell_id, "seen": seen, "called": called}
        return self.client.post("/api/specimens/0/calls", json={"action": "test", "calls": [call]})


@dataclass(frozen=True)
class CounterHere:
    """Counts pictures in this process.

    Attributes:
        out: folder of the run.
    """

    out: Path

    def count(self, new: NewImage) -> Outcome:
        return count_new(self.out, new)

    def stop(self) -> None:
        """Nothing goes on."""


class Desk:
    """A served review.

    Args:
        out: folder of the run.
        is_blind: whether readers call cells without seeing the calls of others.
        most_upload_bytes: of a picture that is sent.
        counter: what counts such pictures; None for this process.
    """

    def __init__(
        self,
        out: Path,
        *,
        is_blind: bool = False,
        most_upload_bytes: int = MAX_UPLOAD_BYTES,
        counter: Counter | None = None,
    ) -> None:
        self.out = out
        self.sessions = Sessions(PASSWORD)
        self.log = EventLog(open_database(name_file(out / "review.sqlite")), out)
        self.jobs = JobLog(self.log)
        run = ReviewedRun(out, [job.sent.image for job in self.jobs.list_done()])
        settings = PageSettings(port=18500, is_blind=is_blind, most_upload_bytes=most_upload_bytes)
        self.app: FastAPI = create_app(run, self.log, self.sessions, settings, counter or CounterHere(out))

    @property
    def uploads(self) -> Uploads:
        """The pictures that are sent; they are counted when a test says so."""
        uploads: Uploads = self.app.state.uploads
        return uploads

    def visit(self, reader: str = "A. Reader") -> Visit:
        """Return a reader who came in by a link."""
        client = self.stranger()
        client.get("/enter", params={"token": self.sessions.make_link(reader)})
        client.headers["x-csrf-token"] = client.get("/api/run").json()["csrf"]
        return Visit(client, reader)

    def stranger(self) -> TestClient:
        """Return a client without a session."""
        return TestClient(self.app, base_url=HERE, follow_redirects=False)


def find_free(cells: dict[str, Any]) -> tuple[float, float]:
    """Return a corner of the field far from every cell."""
    places = [p for p, f in zip(cells["place"], cells["field"], strict=True) if f == 0]
    corners = [(x, y) for x in range(20, 290, 10) for y in range(20, 230, 10)]
    return max(corners, key=lambda c: min((c[0] - x) ** 2 + (c[1] - y) ** 2 for x, y, _, _ in places))


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over two synthetic fields; no test writes into it."""
    folder = tmp_path_factory.mktemp("review")
    images = folder / "in"
    images.mkdir()
    for seed in range(2):
        Image.fromarray(draw_field(DrawnFieldSpec(300, 240, seed=seed)).rgb).save(images / f"f{seed}.png")
    assert count_images(find_images([images]), folder / "run", RunOptions(mpp=0.25)).failures == ()
    return folder / "run"


def encode(rgb: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """Return a picture as a file's content."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def smear() -> NDArray[np.uint8]:
    """A field of a few cells that is in no run."""
    return draw_field(DrawnFieldSpec(160, 120, seed=4)).rgb


@pytest.fixture
def run(counted: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    shutil.copytree(counted, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def desk(run: Path) -> Iterator[Desk]:
    """The review of a run of one's own."""
    made = Desk(run)
    yield made
    made.log.close()


@pytest.fixture
def visit(desk: Desk) -> Visit:
    """A reader at it."""
    return desk.visit()
