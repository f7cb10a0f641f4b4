"""The PDF: a browser is found or its absence is said, and nothing half is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.cli.count import run_count
from erythron.errors import BrowserError
from erythron.pipeline.options import RunOptions
from erythron.report.pdf import find_chromium, print_pdf


def test_no_browser_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME", raising=False)
    with pytest.raises(BrowserError, match="install one"):
        find_chromium()
    monkeypatch.setenv("CHROME", "no-such-browser")
    with pytest.raises(BrowserError, match="CHROME=no-such-browser"):
        find_chromium()


def test_a_browser_that_fails_leaves_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>page")
    with pytest.raises(BrowserError, match="could not print"):
        print_pdf(Path("/bin/false"), page, tmp_path / "page.pdf")
    assert not (tmp_path / "page.pdf").exists()


@pytest.mark.browser
def test_prints(tmp_path: Path) -> None:
    try:
        browser = find_chromium()
    except BrowserError:
        pytest.skip("no Chromium is installed")
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>page</title><p>page")
    print_pdf(browser, page, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_missing_browser_is_said_before_work_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHROME", "no-such-browser")
    with pytest.raises(BrowserError):
        run_count([tmp_path / "a.png"], tmp_path / "out", RunOptions(), as_json=False, pdf=True)
    assert not (tmp_path / "out").exists()
