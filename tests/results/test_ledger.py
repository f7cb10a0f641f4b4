"""The parts of a slide are kept until its results are there, and never mixed with those of other settings."""

from __future__ import annotations

from pathlib import Path

from erythron.quality.specimen import NucleatedTally
from erythron.results.ledger import BlockRows, Ledger, TilePart

PART = TilePart(
    csv="a,1\nb,2\n",
    features=('{"type":"Feature"}', "{}"),
    blocks=(BlockRows(0, 1, 2), BlockRows(1, 0, 0)),
    counted_cells=2,
    counted_px=100,
    blurred_px=1.5,
    thick_px=0.0,
    stained_px=12,
    nucleated=NucleatedTally(2, 900),
)


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "slide", "0" * 64)
    assert ledger.read(3) is None
    assert ledger.list_done() == frozenset()
    ledger.write(3, PART)
    ledger.write(11, PART)
    assert Ledger(tmp_path / "slide", "0" * 64).read(3) == PART
    assert ledger.list_done() == {3, 11}
    assert ledger.count_cells() == 4


def test_a_damaged_part_is_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "slide", "0" * 64)
    ledger.write(0, PART)
    [file] = ledger.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert ledger.read(0) is None


def test_parts_of_other_settings_go_and_those_of_other_slides_stay(tmp_path: Path) -> None:
    old, new, other = (
        Ledger(tmp_path / name, sign * 64) for name, sign in (("slide", "0"), ("slide", "1"), ("b", "0"))
    )
    for ledger in (old, new, other):
        ledger.write(0, PART)
    new.drop_others()
    assert (old.read(0), new.read(0), other.read(0)) == (None, PART, PART)
    new.remove()
    assert not new.folder.exists()
    Ledger(tmp_path / "lost" / "slide", "0" * 64).drop_others()
