"""Masks to outlines and back: nothing is lost, and what is no outline is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from shapely import contains_xy
from shapely.geometry import Polygon

from erythron.cells.outline import MAX_SIDE_PX, BoxedMask, trim_mask
from erythron.errors import DataError
from erythron.interchange.outlines import fill_parts, trace_mask, trace_masks

masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def same(a: BoxedMask | None, b: BoxedMask | None) -> bool:
    return (
        a is not None
        and b is not None
        and (a.left, a.top) == (b.left, b.top)
        and np.array_equal(a.mask, b.mask)
    )


@settings(max_examples=300, deadline=None)
@given(masks, st.integers(-5, 3000), st.integers(-5, 3000))
def test_a_mask_that_is_traced_and_filled_is_the_same_mask(
    mask: NDArray[np.bool_], left: int, top: int
) -> None:
    boxed = trim_mask(mask, left, top)
    if boxed is None:
        assert not mask.any()
        return
    assert same(fill_parts(trace_mask(boxed)), boxed)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 30), st.floats(-9, 30)), min_size=3, max_size=3))
def test_a_triangle_holds_the_pixels_whose_centres_it_contains(corners: list[tuple[float, float]]) -> None:
    triangle = Polygon(corners)
    boxed = fill_parts([[[list(c) for c in corners]]])
    rows, columns = np.mgrid[-10:31, -10:31]
    filled = np.zeros(rows.shape, bool)
    if boxed is not None:
        y, x = boxed.top + 10, boxed.left + 10
        filled[y : y + boxed.mask.shape[0], x : x + boxed.mask.shape[1]] = boxed.mask
    # a centre on the very edge may go either way
    assert not (filled & ~contains_xy(triangle.buffer(1e-6), columns + 0.5, rows + 0.5)).any()
    assert not (contains_xy(triangle.buffer(-1e-6), columns + 0.5, rows + 0.5) & ~filled).any()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([[[[0, 0], [1, 1]]]], "three corners"),
        ([[]], "three corners"),
        ([[[[0, 0], [1, "x"], [2, 2]]]], "pair of numbers"),
        ([[[[0, 0], [1], [2, 2]]]], "pair of numbers"),
        ([[[[0, 0], [float("nan"), 1], [2, 2]]]], "pair of numbers"),
        ([[[[0, 0], [1e9, 0], [0, 1e9]]]], str(MAX_SIDE_PX)),
        ([[[[0, 0], [9, 0], [0, 9]]], [[[90000, 0], [90009, 0], [90000, 9]]]], str(MAX_SIDE_PX)),
    ],
)
def test_what_is_no_outline_is_named(parts: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        fill_parts(parts)


def test_an_outline_between_pixel_centres_holds_none() -> None:
    assert fill_parts([[[[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]]]]) is None


@settings(max_examples=200, deadline=None)
@given(masks)
def test_the_first_ring_of_each_part_is_its_outer_one(mask: NDArray[np.bool_]) -> None:
    boxed = trim_mask(mask, 0, 0)
    for outer, *holes in trace_mask(boxed) if boxed is not None else ():
        assert all(Polygon(outer).contains(Polygon(hole)) for hole in holes)


def test_a_mask_without_a_pixel_has_no_ring_alone_and_beside_others() -> None:
    empty, full = (BoxedMask(2, 3, np.full((4, 5), value)) for value in (False, True))
    assert trace_mask(empty) == [[]]
    assert trace_masks([empty, full, empty]) == [[[]], trace_mask(full), [[]]]
