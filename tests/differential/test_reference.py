"""Reference ranges: the shipped file, a laboratory's own, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.differential.indices import list_indices
from erythron.differential.reference import SHIPPED, read_references
from erythron.errors import DataError

KNOWN = {c.name for c in DEFAULT_CLASSES} | {d.name for d in list_indices(DEFAULT_CLASSES)}
GOOD = '[me_ratio]\nlow = 1.5\npopulation = "adults"\nsource = "our laboratory, 2026"\n'


def test_a_percentage_in_place_of_a_fraction_is_refused(tmp_path: Path) -> None:
    text = '[{name}]\nlow = 18\nhigh = 32\npopulation = "adults"\nsource = "ours"\n'
    own = tmp_path / "own.toml"
    own.write_text(text.format(name="erythroid_share"))
    with pytest.raises(DataError, match="write its limits as fractions"):
        read_references(own, KNOWN)
    own.write_text(text.format(name="me_ratio"))
    assert read_references(own, KNOWN)["me_ratio"].high == 32


def test_every_shipped_range_has_its_source() -> None:
    shipped = read_references(SHIPPED, KNOWN)
    assert (shipped["erythroid_share"].low, shipped["erythroid_share"].high) == (0.18, 0.39)
    assert "Parmentier et al. 2020" in shipped["erythroid_share"].population
    # No source gives a range for the definition of M:E that is reported.
    assert "me_ratio" not in shipped
    assert all(found.source and found.population for found in shipped.values())


def test_a_range_may_be_open(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(GOOD)
    found = read_references(tmp_path / "own.toml", KNOWN)
    assert (found["me_ratio"].low, found["me_ratio"].high) == (1.5, None)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("not toml", "no readable file"),
        (GOOD.replace("me_ratio", "m_e"), "known names are"),
        (GOOD.replace("low = 1.5\n", ""), "neither low nor high"),
        (GOOD.replace("low = 1.5", "low = 4\nhigh = 2"), "low < high"),
        (GOOD.replace("low = 1.5", 'low = "a"'), "me_ratio.low"),
        (GOOD.replace('source = "our laboratory, 2026"\n', ""), "me_ratio.source"),
        (GOOD.replace("our laboratory, 2026", " "), "its source"),
        ("me_ratio = 3\n", "me_ratio"),
        # A limit that is called otherwise was passed over, and the range was open on that side.
        (GOOD.replace("low = 1.5", "low = 1.5\nhihg = 3.5"), "me_ratio.hihg is unknown"),
        (GOOD.replace("low = 1.5", "low = 1.5\nHigh = 3.5"), "low, high, population, source alone"),
        (GOOD.replace("low = 1.5", 'low = 1.5\nunit = "%"'), "me_ratio.unit is unknown"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=part) as caught:
        read_references(path, KNOWN)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml"):
        read_references(tmp_path / "none.toml", KNOWN)


def test_a_share_may_reach_all_and_no_further(tmp_path: Path) -> None:
    text = GOOD.replace("me_ratio", "erythroid_share").replace("low = 1.5", "low = 0.2\nhigh = 1.0")
    (tmp_path / "own.toml").write_text(text)
    found = read_references(tmp_path / "own.toml", {*KNOWN, "erythroid_share"})
    assert found["erythroid_share"].high == 1.0
    (tmp_path / "own.toml").write_text(text.replace("1.0", "1.01"))
    with pytest.raises(DataError, match="write its limits as fractions"):
        read_references(tmp_path / "own.toml", {*KNOWN, "erythroid_share"})
