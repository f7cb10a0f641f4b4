"""The command and the process: who may come in, what it prints, and that nothing acknowledged is lost."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from erythron.cli import app
from erythron.errors import MissingExtraError, UsageError
from erythron.review_page.server import ServerOptions, is_loopback, serve_review
from tests.review_page.conftest import Desk

EVERYWHERE = "0.0.0.0"  # noqa: S104 - never listened at


def start(run: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start the command and return its process and the link that it prints."""
    command = [sys.executable, "-m", "erythron", "review", str(run), "--no-browser", "--reader", "A. Reader"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    link = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?token=[\w-]{40,}", link), link
    return process, link


def come_in(link: str) -> httpx.Client:
    client = httpx.Client(base_url=link.split("/enter")[0])
    client.get(link)
    client.headers["x-csrf-token"] = client.get("/api/run").json()["csrf"]
    return client


@pytest.mark.parametrize(("how", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 0)])
def test_every_acknowledged_change_is_there_after_the_end(
    run: Path, how: signal.Signals, status: int
) -> None:
    process, link = start(run)
    client = come_in(link)
    names = client.get("/api/specimens/0/cells").json()["cell_id"][:3]
    for name in names:
        call = {"field": 0, "cell_id": name, "seen": 0, "called": "monocyte"}
        done = client.post("/api/specimens/0/calls", json={"action": "a", "calls": [call]})
        assert done.status_code == 200
    process.send_signal(how)
    assert process.wait(timeout=30) == status
    standing = Desk(run).visit().cells()["standing"]
    assert [s["subject"] for s in standing] == names


def test_other_machines_need_a_password(run: Path) -> None:
    with pytest.raises(UsageError, match="needs a password"):
        serve_review(run, ServerOptions("A", host=EVERYWHERE), print)
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback(EVERYWHERE)
    assert not is_loopback("bench-3.lab")


def test_a_folder_without_a_count_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["review", str(tmp_path), "--no-browser"])
    assert isinstance(done.exception, UsageError)
    assert "--out" in str(done.exception)


def test_an_empty_password_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    options = ["--no-browser", "--password-file", str(tmp_path / "password")]
    done = CliRunner().invoke(app, ["review", str(run), *options])
    assert isinstance(done.exception, UsageError)


def test_without_the_extra_the_command_says_how_to_get_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "erythron.review_page.server", None)
    done = CliRunner().invoke(app, ["review", str(run), "--no-browser"])
    assert isinstance(done.exception, MissingExtraError)


def test_the_light_install_does_not_import_the_page() -> None:
    code = (
        "import sys, erythron.cli\n"
        "print([m for m in sys.modules if m.startswith(('fastapi', 'sqlmodel', 'erythron.review_page'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
