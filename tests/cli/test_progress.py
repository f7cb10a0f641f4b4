"""Messages on stderr: every quality flag, once."""

from __future__ import annotations

import pytest

from erythron.cli.progress import show_flags
from erythron.quality.flags import QualityFlag


def test_flags_of_fields_are_said_where_the_specimen_does_not_say_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = QualityFlag("too_few_cells", "40 nucleated cells were counted")
    stain = QualityFlag("stain_unlike_training", "the stain is off")
    area = QualityFlag("area_left_out", "12 % of the area is [out] of focus")
    show_flags([stain], {"a.png": [few, stain, area], "b.png": [few]})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "stain unlike training: the stain is off",
        "area left out in a.png: 12 % of the area is [out] of focus",
    ]


def test_a_count_without_flags_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_flags([], {"a.png": []})
    assert capsys.readouterr().err == ""
