"""The page in a browser: a review of the real field by keyboard alone, from the first call to the export."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import polars as pl
import pytest
import uvicorn
from PIL import Image

from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results.field import read_cells, read_differential, read_outlines
from erythron.results.review import read_review
from erythron.review.record import DATABASE
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import EventLog
from erythron.review_page.app import PageSettings, create_app
from erythron.review_page.run import ReviewedRun
from erythron.review_page.sessions import Sessions
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from tests.review_page.conftest import CounterHere

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@dataclass
class Served:
    """A review that is served on this machine.

    Attributes:
        out: folder of the run.
        address: of the server.
        sessions: who may come in.
    """

    out: Path
    address: str
    sessions: Sessions

    def link(self, reader: str = "A. Reader") -> str:
        return f"{self.address}/enter?token={self.sessions.make_link(reader)}"


@contextmanager
def serve(out: Path) -> Iterator[Served]:
    sessions = Sessions()
    log = EventLog(open_database(name_file(out / DATABASE)), out)
    settings = PageSettings(targets=(50, 300))
    app = create_app(ReviewedRun(out), log, sessions, settings, CounterHere(out))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(out, f"http://127.0.0.1:{port}", sessions)
    server.should_exit = True
    thread.join()


@pytest.fixture
def served(run: Path) -> Iterator[Served]:
    with serve(run) as review:
        yield review


@pytest.fixture
def served_marrow(data_dir: Path, tmp_path: Path) -> Iterator[Served]:
    """The review of a count of the real marrow field."""
    out = tmp_path / "marrow"
    count_images(find_images([data_dir / "marrow-field" / "marrow-field-left.png"]), out, RunOptions())
    with serve(out) as review:
        yield review


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


class Desk:
    """A page, what it said went wrong, and which hosts it asked.

    Args:
        browser: that opens it.
        link: one-time link.
        options: of the browser's context.
    """

    def __init__(self, browser: Browser, link: str, **options: Any) -> None:
        self.page: Page = browser.new_context(**options).new_page()
        self.page.clock.install()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(link)
        self.page.locator(".tile img[src]").first.wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_saved(self) -> None:
        self.page.locator("#saved", has_text="All changes saved").wait_for()

    def let_pass(self, seconds: int) -> None:
        """Let what the page does after a while be due now."""
        self.page.clock.fast_forward(1000 * seconds)

    def said(self) -> str:
        return self.page.locator("#live").inner_text()


def count_rows(page: Page) -> dict[str, int]:
    """Return the counts that the page's differential shows."""
    page.locator("#differential-body tr").first.wait_for()
    # At one moment: the page may write the table anew between two questions.
    rows = page.evaluate(
        "[...document.querySelectorAll('#differential-body tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    return {row[0].strip(): int(row[1]) for row in rows[1:] if row[1].isdigit()}


def count_tiles(page: Page) -> int:
    """Return how many cells the groups of the gallery say they have."""
    counts = page.locator(".group .count").all_text_contents()
    return sum(int(text.split()[0]) for text in counts)


@pytest.mark.real_data
def test_a_review_by_keyboard_alone_from_the_first_call_to_the_export(
    browser: Browser, served_marrow: Served
) -> None:
    served = served_marrow
    desk = Desk(browser, served.link())
    page = desk.page
    # Fifty cells: some confirmed, some called otherwise, one taken back and done again.
    desk.press(*["Enter", "4", "Enter", "5", "3"] * 10)
    desk.wait_saved()
    assert "Target reached" in page.locator(".reached").inner_text()
    desk.press("z", "z", "y")
    desk.press("n", "3")
    desk.wait_saved()

    # A cell is taken away and found again where the cross is, as one that was missed is.
    page.locator("#advance").focus()
    desk.press(" ")
    page.locator("#advance").blur()
    desk.press("n", "f")
    page.locator("#field-hint", has_text="A click selects").wait_for()
    desk.press("c", "x")
    desk.wait_saved()
    desk.press("a", "Enter")
    page.locator("#live", has_text="One cell outlined").wait_for()
    # Undone it is gone from the page as well, and done again it is there.
    with_it = count_tiles(page)
    desk.press("z")
    assert count_tiles(page) == with_it - 1
    desk.press("y")
    assert count_tiles(page) == with_it
    # What the count says against itself stands beside the differential, folded.
    page.locator(".remarks summary", has_text="Provisional").wait_for()
    desk.press("4")
    # The next one is two cells.
    desk.press("n", "s", "Enter")
    page.locator("#live", has_text="2 cells outlined").wait_for()
    desk.press("4")
    desk.wait_saved()
    shown = count_rows(page)

    page.locator("#result-button").focus()
    page.keyboard.press("Enter")
    page.locator("#sign").wait_for()
    told = page.locator("#result-body").inner_text()
    # A single field is too few cells: who signs is told so, and how many of the cells were looked at.
    assert "Provisional: not to be reported as it stands." in told
    assert "fewer than 300" in told
    assert " nucleated cells, 5" in told
    page.locator("#sign").focus()
    page.keyboard.press("Enter")
    page.locator("#result-title", has_text="The result is signed").wait_for()
    with page.expect_download() as download:
        page.locator("#export-cells").focus()
        page.keyboard.press("Enter")
    exported = pl.read_csv(download.value.path())
    page.reload()
    page.locator("#locked", has_text="Signed by A. Reader").wait_for()
    page.locator(".tile img[src]").first.wait_for()
    assert count_rows(page) == shown
    desk.press("2")
    assert "signed" in desk.said()

    [folder] = [path for path in served.out.iterdir() if (path / "cells.csv").exists()]
    table, differential = read_cells(folder), read_differential(folder)
    assert exported["counted_as"].to_list() == table["counted_as"].to_list()
    assert exported["confirmed_as"].to_list() == table["confirmed_as"].to_list()
    for line in differential.classes:
        title = line.title.removesuffix(" erythroblast").removesuffix(" and precursors")
        assert shown.get(title, 0) == line.count, title
    database = sqlite3.connect(served.out / DATABASE)
    last = dict(database.execute("SELECT subject, becomes FROM event WHERE kind != 'sign' ORDER BY id"))
    database.close()
    confirmed = table.drop_nulls("confirmed_as").select("cell_id", "confirmed_as")
    assert {name: called for name, called in last.items() if called} == dict(confirmed.iter_rows())
    review = read_review(folder)
    assert review is not None
    assert len(review.added) == 3
    assert desk.errors == []
    assert {url.split("/")[2] for url in desk.requests if url.startswith("http")} == {
        served.address.split("/")[2]
    }


def test_a_call_that_another_reader_made_meanwhile_is_shown_and_not_overwritten(
    browser: Browser, served: Served
) -> None:
    first, second = (Desk(browser, served.link(reader)) for reader in ("A. Reader", "B. Reader"))
    first.press("3")
    first.wait_saved()
    second.press("5")
    second.page.locator("#banner", has_text="A. Reader had called").wait_for()
    assert second.page.locator(".tile.conflict").count() == 1
    database = sqlite3.connect(served.out / DATABASE)
    assert database.execute("SELECT reader FROM event").fetchall() == [("A. Reader",)]
    database.close()
    # What the first reader calls next reaches the second without a reload.
    first.press("2")
    first.wait_saved()
    second.let_pass(3)
    second.page.locator(".tile.confirmed").nth(1).wait_for()


def look_again(desk: Desk) -> None:
    """Let a change be seen, the figures be asked for, and then the cells anew."""
    for _ in range(3):
        desk.let_pass(3)
        desk.page.wait_for_timeout(500)


def test_a_cell_that_becomes_the_models_again_leaves_the_page(browser: Browser, served: Served) -> None:
    desk = Desk(browser, served.link())
    before = count_tiles(desk.page)
    name = read_cells(served.out / "f0")["cell_id"][0]
    old = read_outlines(served.out / "f0", [name])[name]
    (height, width), x, y = old.cell.shape, old.left, old.top
    ring = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    with httpx.Client(base_url=served.address, follow_redirects=True) as other:
        other.get("/enter", params={"token": served.sessions.make_link("B. Reader")})
        other.headers["x-csrf-token"] = other.get("/api/run").json()["csrf"]

        def call(cell: str, called: str, seen: int) -> None:
            calls = [{"field": 0, "cell_id": cell, "seen": seen, "called": called}]
            found = other.post("/api/specimens/0/calls", json={"action": "a", "calls": calls})
            assert found.status_code == 200, found.text

        call(name, "not_a_cell", 0)
        body = {"kind": "draw", "action": "e", "cell": ring, "nucleus": ring}
        drawn = other.post("/api/fields/0/edits", json=body).json()["events"][0]["subject"]
        call(drawn, "lymphocyte", 1)
        look_again(desk)
        assert count_tiles(desk.page) == before + 1
        call(name, "", 1)
    look_again(desk)
    assert count_tiles(desk.page) == before
    assert desk.errors == []


@pytest.mark.parametrize(("width", "zoom", "schemes"), [(1400, 1, ("light", "dark")), (700, 2, ("light",))])
def test_the_page_is_sound_for_every_reader(
    browser: Browser, served: Served, axe: str, width: int, zoom: int, schemes: Sequence[Any]
) -> None:
    """A page at 200 % is one of half the width with two pixels to a pixel."""
    size = {"width": width, "height": 900 // zoom}
    desk = Desk(browser, served.link(), viewport=size, device_scale_factor=zoom)
    page = desk.page
    page.evaluate(axe)
    found = []
    for keys, shown in (
        ((), ".strip button"),
        (("f",), "#field-hint:text('A click selects')"),
        (("f", "?"), "#keys"),
    ):
        desk.press(*keys)
        page.locator(shown).first.wait_for()
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            found += page.evaluate(
                "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
            )
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert [v for v in found if v[0] in {"serious", "critical"}] == []
    # On a telephone nothing reaches over the side, and no name of a group is cut.
    desk.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    cut = (
        "[...document.querySelectorAll('.group > header *')].filter((e) => e.scrollWidth > e.clientWidth + 1)"
    )
    assert page.evaluate(f"{cut}.map((e) => e.textContent)") == []
    heads = page.locator(".group > header").evaluate_all("heads => heads.map((h) => h.offsetHeight)")
    assert set(heads) == {76}
    assert page.locator("#gallery").bounding_box()["height"] < 844  # type: ignore[index]
    assert desk.errors == []


def test_pictures_are_added_by_keyboard_and_the_queue_follows_the_calls(
    browser: Browser, served: Served, axe: str, tmp_path: Path
) -> None:
    """Another reader's page has the new cells too, and neither was loaded again."""
    other = Desk(browser, served.link("B. Reader"))
    desk = Desk(browser, served.link())
    page = desk.page
    page.select_option("#order", "next")
    page.locator("h2", has_text="To call next").wait_for()
    page.locator("#order").blur()
    order = "[...document.querySelectorAll('.group .tile')].slice(0, 12).map((t) => t.cell.key)"
    first = read_queue(page)
    page.locator(f".tile.current img[data-key='{first[0]}']").wait_for()
    assert page.evaluate(order)[0] == first[0]
    desk.press("3")
    desk.wait_saved()
    with page.expect_response("**/queue"):
        desk.let_pass(1)
    second = read_queue(page)
    assert first[0] not in second
    shown = sorted(
        page.evaluate("[...document.querySelectorAll('.group:first-of-type .tile')].length && " + order)
    )
    # What was called and the cell that the reader is at stay; the ranking of now comes after them.
    assert {first[0], first[1]} <= set(shown)
    assert second[0] in shown

    name = "a <b>slide.png"
    Image.fromarray(draw_field(DrawnFieldSpec(300, 240, seed=7)).rgb).save(tmp_path / name)
    (tmp_path / "notes.png").write_text("no picture")
    page.locator("#add-button").focus()
    desk.press("Enter")
    page.set_input_files("#add-files", [tmp_path / name, tmp_path / "notes.png"])
    page.locator("#add-status", has_text="Not taken: notes.png: this is text").wait_for()
    page.locator("#add-jobs li.done", has_text=name).wait_for()
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    assert [v for v in found if v[0] in {"serious", "critical"}] == []
    desk.press("Escape")
    other.let_pass(3)
    for each in (page, other.page):
        each.locator("#field-choice option", has_text=name).wait_for(state="attached")
        each.locator("#live", has_text="came in").wait_for(state="attached")
    assert page.locator("#add-jobs b").count() == 0
    assert [text for text in desk.errors if "415" not in text] == []


def read_queue(page: Page) -> list[str]:
    """Return what the server ranks first now."""
    path = "/api/specimens/0/queue?most=10"
    queue = (
        f"fetch('{path}').then(r => r.json()).then(q => q.cell_id.map((id, i) => `${{q.field[i]}}:${{id}}`))"
    )
    found: list[str] = page.evaluate(queue)
    return found


def test_a_script_in_a_name_is_text_and_a_group_is_accepted_once(browser: Browser, served: Served) -> None:
    name = '<img src=x onerror="alert(1)">'
    desk = Desk(browser, served.link(name))
    # Once nothing of the group is left to accept, there is nothing to press; undone, there is again.
    accept = desk.page.locator(".group button").first
    assert accept.is_enabled()
    desk.press("Shift+Enter")
    desk.wait_saved()
    assert accept.is_disabled()
    desk.press("z")
    assert accept.is_enabled()
    desk.press("3")
    desk.wait_saved()
    assert desk.page.locator("#reader").inner_text() == name
    assert name in desk.page.locator(".call").inner_text() or desk.page.locator(".confirmed").count() == 1
    assert desk.page.locator("img[onerror]").count() == 0
    assert desk.errors == []
