"""Messages on stderr: every quality flag, once."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from erythron.cli import progress
from erythron.cli.progress import show_flags, show_progress, show_stages
from erythron.pipeline.executor import PartsDone
from erythron.quality.flags import QualityFlag


def test_flags_of_fields_are_said_where_the_specimen_does_not_say_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = QualityFlag("too_few_cells", "40 nucleated cells were counted")
    stain = QualityFlag("stain_unlike_training", "the stain is off")
    area = QualityFlag("area_left_out", "12 % of the area is [out] of focus")
    untold = QualityFlag("specimen_not_told", "7 nucleated cells were counted")
    show_flags([stain], {"a.png": [few, stain, area], "b.png": [few, untold]})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "stain unlike training: the stain is off",
        "area left out in a.png: 12 % of the area is [out] of focus",
    ]


def test_a_count_without_flags_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_flags([], {"a.png": []})
    assert capsys.readouterr().err == ""


def test_how_far_a_slide_is_stands_on_the_terminal_and_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=screen, force_terminal=True, width=120))
    with caplog.at_level(logging.INFO, "erythron"), show_progress("Counting", 2) as tell:
        tell("a/one.svs", PartsDone("tile", 3, 8, 120))
        tell("a/one.svs")
        tell("a/two.svs", PartsDone("area", 2, None, 250, 500))
    assert "one.svs: 3 of 8 tiles, 120 cells" in caplog.text
    assert "two.svs: 2 areas, 250 of 500 cells" in caplog.text
    shown = screen.getvalue()
    assert "two.svs: 2 areas, 250 of 500 cells" in shown
    assert "250/500" in shown
    assert "one.svs" not in shown.rpartition("two.svs")[2]


def test_in_a_log_a_stage_says_that_it_begins_and_ends_and_not_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=log, width=120))
    with show_stages() as tell:
        for done in range(5):
            tell("Features of [7] cells", done, 4)
    assert log.getvalue().splitlines() == ["Features of [7] cells: 0 of 4", "Features of [7] cells: 4 of 4"]
