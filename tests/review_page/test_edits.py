"""Outlines that persons make share no pixel of a nucleus, and are parted where the nucleus is narrowest."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk

from erythron.cells.outline import CellOutline, outline_cell
from erythron.errors import DataError
from erythron.review_page.edits import describe_added, keep_apart, merge_outlines, name_apart, split_outline


def make_cell(*discs: tuple[int, int, int]) -> CellOutline:
    """Return a cell of discs (row, column, radius of the nucleus); its cytoplasm is 3 pixels wide."""
    nucleus, cell = np.zeros((2, 80, 120), np.bool_)
    for row, column, radius in discs:
        nucleus[disk((row, column), radius, shape=nucleus.shape)] = True
        cell[disk((row, column), radius + 3, shape=nucleus.shape)] = True
    found = outline_cell(nucleus, cell, left=100, top=50)
    assert found is not None
    return found


@pytest.mark.parametrize("seeds", [(), ((130, 90), (148, 90))])
def test_touching_nuclei_are_parted_between_them(seeds: tuple[tuple[float, float], ...]) -> None:
    both = make_cell((40, 30, 10), (40, 48, 10))
    parts = split_outline(both, seeds)
    assert len(parts) == 2
    for part, true in zip(parts, (make_cell((40, 30, 10)), make_cell((40, 48, 10))), strict=True):
        assert part.nucleus_mask.overlap_px(true.nucleus_mask) > 0.95 * true.nucleus_mask.area_px
    assert parts[0].nucleus_mask.overlap_px(parts[1].nucleus_mask) == 0
    assert parts[0].whole.overlap_px(parts[1].whole) == 0
    assert sum(part.whole.area_px for part in parts) == both.whole.area_px


def test_points_beside_the_cell_or_in_one_place_are_refused() -> None:
    both = make_cell((40, 30, 10), (40, 48, 10))
    with pytest.raises(DataError, match="outside the cell"):
        split_outline(both, [(0, 0), (130, 90)])
    with pytest.raises(DataError, match="one place"):
        split_outline(both, [(130, 90), (130, 90)])


def test_a_point_lies_in_the_pixel_that_holds_it() -> None:
    both = make_cell((40, 30, 10), (40, 48, 10))
    last = int(np.flatnonzero(both.cell[90 - both.top])[-1]) + both.left
    with pytest.raises(DataError, match="does not part"):  # in the cell, and at its rim
        split_outline(both, [(130, 90), (last + 0.9, 90.5)])
    with pytest.raises(DataError, match="outside the cell"):
        split_outline(both, [(130, 90), (last + 1.1, 90.5)])


def test_cells_that_touch_are_merged_and_others_are_not() -> None:
    one, other, far = make_cell((40, 30, 8)), make_cell((40, 48, 8)), make_cell((40, 100, 8))
    merged = merge_outlines([one, other])
    assert merged.nucleus_mask.area_px == one.nucleus_mask.area_px + other.nucleus_mask.area_px
    with pytest.raises(DataError, match="do not touch"):
        merge_outlines([one, far])


def test_a_new_nucleus_takes_no_pixel_of_another_and_is_none_where_one_is_outlined() -> None:
    old, new = make_cell((40, 30, 10)), make_cell((40, 44, 10))
    apart = keep_apart(new, [old])
    assert apart.nucleus_mask.overlap_px(old.nucleus_mask) == 0
    assert 0 < apart.nucleus_mask.area_px < new.nucleus_mask.area_px
    assert keep_apart(new, [make_cell((40, 100, 8))]).nucleus_mask.area_px == new.nucleus_mask.area_px
    with pytest.raises(DataError, match="outlined there already"):
        keep_apart(make_cell((40, 33, 10)), [old])


def test_a_nucleus_without_a_waist_is_cut_in_halves() -> None:
    parts = split_outline(make_cell((40, 30, 12)))
    assert [part.nucleus_mask.area_px for part in parts] == pytest.approx([220, 220], rel=0.35)


def test_a_cell_that_is_outlined_anew_gets_a_name_of_its_own() -> None:
    cell = make_cell((40, 30, 10))
    named = name_apart(cell, {cell.cell_id}.__contains__)
    assert named.cell_id != cell.cell_id
    assert named.nucleus_mask.area_px > 0.9 * cell.nucleus_mask.area_px
    assert named.whole.area_px == cell.whole.area_px
    with pytest.raises(DataError, match="just there"):
        name_apart(cell, lambda _: True)


def test_an_added_cell_is_kept_with_the_name_of_its_place() -> None:
    cell = make_cell((40, 30, 10))
    assert describe_added(cell).cell_id == cell.cell_id == "x130y90"
