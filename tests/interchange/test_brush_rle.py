"""The bytes of the brush encoding, as its format lays them out."""

from __future__ import annotations

import numpy as np

from erythron.cells.outline import BoxedMask
from erythron.interchange.brush_rle import encode_brush

WIDTHS = "0010001101111111"
"""Runs have lengths of 3, 4, 8 or 16 bits; each width is written less one."""


def pack(*parts: str) -> list[int]:
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def test_short_runs_take_the_shortest_length() -> None:
    """Three pixels in a row, the middle one set: three runs of four bytes, lengths in three bits."""
    runs = ("10001100000000", "10001111111111", "10001100000000")
    expected = pack(f"{12:032b}", "00111", WIDTHS, *runs)
    assert encode_brush(BoxedMask(1, 0, np.ones((1, 1), np.bool_)), 3, 1) == expected


def test_a_long_run_is_one_piece() -> None:
    mask = BoxedMask(0, 0, np.ones((1, 1), np.bool_))
    runs = ("10001111111111", f"111{799 - 4:016b}00000000")
    assert encode_brush(mask, 200, 1) == pack(f"{800:032b}", "00111", WIDTHS, *runs)


def test_runs_of_every_length_take_the_least_that_holds_them() -> None:
    """Lengths of 8, 16 and 256 values are the longest of 3, 4 and 8 bits."""
    for pixels, index, bits in (
        (2, "00", 3),
        (3, "01", 4),
        (4, "01", 4),
        (5, "10", 8),
        (64, "10", 8),
        (65, "11", 16),
    ):
        whole = BoxedMask(0, 0, np.ones((1, pixels), np.bool_))
        run = f"1{index}{pixels * 4 - 1:0{bits}b}11111111"
        assert encode_brush(whole, pixels, 1) == pack(f"{pixels * 4:032b}", "00111", WIDTHS, run)


def test_a_run_over_the_longest_goes_on_in_another() -> None:
    whole = BoxedMask(0, 0, np.ones((1, (1 << 14) + 1), np.bool_))
    runs = (f"111{(1 << 16) - 1:016b}11111111", "10001111111111")
    assert encode_brush(whole, (1 << 14) + 1, 1) == pack(f"{(1 << 16) + 4:032b}", "00111", WIDTHS, *runs)
