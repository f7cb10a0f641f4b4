"""The page: complete, escaped, bounded, and sound in a real browser at three widths."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest

from erythron.report.model import FailedInput
from erythron.report.page import MAX_FIELDS_IN_FULL, MAX_ROWS, render_report

from .conftest import HOSTILE_NAME, Field, make_report


def test_says_what_a_reader_must_know(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"]))
    assert page.count("Research use only. A qualified person confirms the calls.") == 1
    assert "not known: sizes are in pixels" in page
    assert "4 of 11" in page
    assert "40689-2" in page
    assert "0" * 64 in page


def test_file_names_are_text(field: Field) -> None:
    page = render_report(make_report(field, [HOSTILE_NAME]))
    assert HOSTILE_NAME not in page
    assert "&lt;img src=" in page


def test_no_nucleated_cell_is_said_plainly(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"], empty=True))
    assert "No nucleated cell was found" in page
    assert "<svg" not in page


def test_no_counted_image_is_said_plainly(field: Field) -> None:
    assert "No image could be counted" in render_report(make_report(field, []))


def test_many_fields_stay_bounded_and_the_page_says_so(field: Field) -> None:
    page = render_report(make_report(field, [f"{i}.png" for i in range(400)]))
    assert page.count('<article class="field">') == MAX_FIELDS_IN_FULL
    assert f"The first {MAX_FIELDS_IN_FULL} of 400 are shown in full" in page
    assert f"The first {MAX_ROWS} of 400 counted images; all stand in summary.csv" in page
    assert f'<th scope="row">{MAX_ROWS - 1}.png</th><td>11</td><td>1</td>' in page  # nucleated, first stage
    assert f'<th scope="row">{MAX_ROWS}.png</th>' not in page
    assert len(page) < 3_000_000


def test_many_failed_inputs_stay_bounded_and_the_page_says_so(field: Field) -> None:
    failed = tuple(FailedInput(f"{i}.png", "not an image") for i in range(MAX_ROWS + 1))
    page = render_report(replace(make_report(field, []), failed=failed))
    assert page.count("not an image") == MAX_ROWS
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 1}; all stand in summary.csv" in page


def luminance(colour: str) -> float:
    """Relative luminance of a colour such as ``#123`` or ``#112233``, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_contrasts_with_its_ground_in_every_scheme() -> None:
    css = (files("erythron.report") / "templates" / "report.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{([^}]*)", css)
    ]
    assert len(schemes) == 3  # light, dark, print
    assert set(re.findall(r"[{;](?:color|fill):([^;}]*)", css)) == {"var(--ink)", "var(--soft)"}
    for scheme in schemes:
        for text in ("ink", "soft"):
            darker, lighter = sorted(map(luminance, (scheme[text], scheme["paper"])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, scheme


@pytest.mark.browser
@pytest.mark.parametrize(("width", "medium"), [(390, "screen"), (1200, "screen"), (680, "print")])
def test_in_a_browser(
    field: Field, tmp_path: Path, width: int, medium: Literal["screen", "print"]
) -> None:  # a page of A4 within its margins is 680 px wide; Chromium shrinks what is wider
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    path.write_text(
        render_report(make_report(field, [HOSTILE_NAME, "long_name_" * 12 + ".png"])), encoding="utf-8"
    )
    errors: list[str] = []
    requests: list[str] = []
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.emulate_media(media=medium)
        page.goto(path.as_uri())
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
        images = page.evaluate("document.images.length")
        browser.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert overflow <= 0
    assert (broken, images > 2) == (0, True)
