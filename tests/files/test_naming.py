"""Names of any bytes as text, and names that look equal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from erythron.files.naming import as_text, find_named, fold_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("field é µ 原红.png", "field é µ 原红.png"),
        ("a[1]*?.png", "a[1]*?.png"),
        ("b\udcff.png", "b\\udcff.png"),
        ("two\nlines\x1b[31m.png", "two\\x0alines\\x1b[31m.png"),
        ("c\u2028d.png", "c\\u2028d.png"),
    ],
)
def test_every_name_is_text_on_one_line(name: str, expected: str) -> None:
    assert as_text(Path(name)) == expected
    as_text(name).encode()
    assert len(as_text(name).splitlines()) == 1


def test_names_that_look_equal_are_equal() -> None:
    assert fold_name(unicodedata.normalize("NFD", "é.png")) == fold_name("é.png") == "é.png"


@pytest.mark.parametrize(
    "name",
    ["d\udcff.png", "two\nlines.png", "\x1b[2J.png", "\u2028.png", "a.png", r"b\udcff.png", r"c\x41.png"],
)
def test_a_file_is_found_by_its_text(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert find_named(as_text(tmp_path / name)) == tmp_path / name


def test_a_file_that_is_called_so_letter_by_letter_comes_first(tmp_path: Path) -> None:
    (tmp_path / "d\udcff.png").touch()
    (tmp_path / r"d\udcff.png").touch()
    assert find_named(str(tmp_path / r"d\udcff.png")) == tmp_path / r"d\udcff.png"
    assert find_named(str(tmp_path / r"gone\udcff.png")) == tmp_path / r"gone\udcff.png"
