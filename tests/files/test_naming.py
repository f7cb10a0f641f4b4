"""Names of any bytes as text, and names that look equal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from erythron.files.naming import as_text, fold_name


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
