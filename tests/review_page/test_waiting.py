"""What is called on the page waits until the result is signed or counted again."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.cli.train import say_waiting
from erythron.review_page.waiting import count_waiting
from tests.review_page.conftest import Desk, Visit


def test_calls_wait_until_the_run_is_counted_again(
    desk: Desk, visit: Visit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert count_waiting(desk.out) == 0
    for cell in visit.names(2):
        visit.call(cell, "monocyte")
    assert count_waiting(desk.out) == 2
    say_waiting([desk.out])
    assert "2 changes of its review are not in its results yet" in capsys.readouterr().err
    assert visit.client.post("/api/specimens/0/recount").status_code == 204
    assert count_waiting(desk.out) == 0
    say_waiting([desk.out])
    assert capsys.readouterr().err == ""


def test_a_run_that_nobody_reviewed_waits_for_nothing(tmp_path: Path) -> None:
    assert count_waiting(tmp_path) == 0
