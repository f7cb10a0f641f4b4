from __future__ import annotations

import numpy as np

from erythron.cells.outline import BoxedMask
from erythron.interchange.cells import LabelledCell, join_nuclei


def make_box(left: int, top: int, side: int) -> BoxedMask:
    return BoxedMask(left, top, np.ones((side, side), np.bool_))


def test_a_nucleus_goes_to_the_cell_that_holds_most_of_it() -> None:
    cells = [
        LabelledCell("band", make_box(0, 0, 10), None, "a"),
        LabelledCell("band", make_box(10, 0, 10), None, "b"),
    ]
    joined, left_out = join_nuclei(cells, [make_box(8, 2, 5), make_box(2, 2, 3)])
    assert left_out == ()
    first, second = joined
    assert first.nucleus is not None
    assert (first.nucleus.left, first.nucleus.area_px) == (2, 9)
    assert second.nucleus is not None
    # The cell takes in what of its nucleus lies outside of it.
    assert (second.nucleus.area_px, second.cell.left, second.cell.area_px) == (25, 8, 110)


def test_one_pixel_in_a_cell_is_enough_and_none_is_not() -> None:
    cells = [LabelledCell("band", make_box(0, 0, 10), None, "a")]
    joined, left_out = join_nuclei(cells, [make_box(9, 9, 3)])
    assert left_out == ()
    assert joined[0].nucleus is not None
    joined, left_out = join_nuclei(cells, [make_box(10, 10, 3)])
    assert joined == tuple(cells)
    assert left_out == ("the nucleus at (11, 11) lies in no cell; outline its cell too",)


def test_a_nucleus_where_there_is_no_cell_at_all_is_named() -> None:
    joined, left_out = join_nuclei([], [make_box(4, 6, 3)])
    assert joined == ()
    assert left_out == ("the nucleus at (5, 7) lies in no cell; outline its cell too",)
