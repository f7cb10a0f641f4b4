"""Masks in their boxes, cells made of them, the names of cells, and label images there and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from erythron.cells.outline import (
    BoxedMask,
    CellOutline,
    check_side,
    clip_mask,
    name_cell,
    outline_cell,
    outlines_from_labels,
    render_labels,
    trim_mask,
    unite_masks,
)
from erythron.errors import DataError

Masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
Seeds = st.integers(0, 2**32 - 1)


def same(a: BoxedMask | None, b: BoxedMask | None) -> bool:
    return (
        a is not None
        and b is not None
        and (a.left, a.top) == (b.left, b.top)
        and np.array_equal(a.mask, b.mask)
    )


def draw_labels(seed: int, count: int = 9) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cells of any form, in parts and with gaps between labels, each with a nucleus, that may touch."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(6, 40, 2))
    cell = np.zeros(shape, np.int32)
    for label in rng.choice(np.arange(1, 2 * count), count, replace=False):
        y, x = (rng.integers(0, n) for n in shape)
        part = rng.random(shape) < rng.uniform(0.2, 1)
        part[:y], part[y + 7 :], part[:, :x], part[:, x + 8 :] = False, False, False, False
        cell[part] = label
    nucleus = np.where(rng.random(shape) < 0.4, cell, 0).astype(np.int32)
    return nucleus, cell


@given(Masks, st.integers(-20, 20), st.integers(-20, 20))
def test_a_trimmed_mask_is_cut_to_its_box_and_keeps_its_place(
    mask: NDArray[np.bool_], left: int, top: int
) -> None:
    boxed = trim_mask(mask, left, top)
    if boxed is None:
        assert not mask.any()
        return
    assert boxed.mask[[0, -1]].any(axis=1).all()
    assert boxed.mask[:, [0, -1]].any(axis=0).all()
    assert boxed.area_px == np.count_nonzero(mask)
    rows, columns = np.nonzero(mask)
    assert boxed.centre == pytest.approx((columns.mean() + left, rows.mean() + top))
    back = np.zeros_like(mask)
    y, x = boxed.top - top, boxed.left - left
    back[y : y + boxed.mask.shape[0], x : x + boxed.mask.shape[1]] = boxed.mask
    np.testing.assert_array_equal(back, mask)


def test_overlap_union_and_clipping_are_those_of_the_whole_masks() -> None:
    random = np.random.default_rng(3)
    for _ in range(60):
        images = random.random((2, 20, 24)) < 0.1
        a, b = (trim_mask(image) for image in images)
        assert a is not None
        assert b is not None
        assert a.overlap_px(b) == b.overlap_px(a) == (images[0] & images[1]).sum()
        assert same(unite_masks([a, b]), trim_mask(images.any(axis=0)))
        moved = BoxedMask(a.left - 8, a.top - 9, a.mask)
        inside = images[0][9 : 9 + 6, 8 : 8 + 7]
        clipped = clip_mask(moved, 7, 6)
        assert (clipped is None) == (not inside.any())
        if clipped is not None:
            assert same(clipped, trim_mask(inside))


def test_masks_apart_share_nothing() -> None:
    one = np.ones((3, 3), np.bool_)
    assert BoxedMask(0, 0, one).overlap_px(BoxedMask(3, 0, one)) == 0
    assert BoxedMask(0, 0, one).overlap_px(BoxedMask(0, -9, one)) == 0
    assert BoxedMask(0, 0, one).overlap_px(BoxedMask(2, 2, one)) == 1


@pytest.mark.parametrize("place", [(-4, 0), (0, -4), (10, 0), (0, 8), (-50, -50), (99, 99)])
def test_what_lies_outside_an_image_is_clipped_to_nothing(place: tuple[int, int]) -> None:
    assert clip_mask(BoxedMask(*place, np.ones((4, 4), np.bool_)), 10, 8) is None


@settings(deadline=None)
@given(Masks, Masks, st.integers(-9, 9), st.integers(-9, 9))
def test_a_cell_takes_its_nucleus_in_and_is_cut_to_its_box(
    first: NDArray[np.bool_], second: NDArray[np.bool_], left: int, top: int
) -> None:
    height, width = (min(n) for n in zip(first.shape, second.shape, strict=True))
    nucleus, cell = first[:height, :width], second[:height, :width]
    outline = outline_cell(nucleus, cell, left, top, 0.5)
    if outline is None:
        assert not nucleus.any()
        return
    assert same(outline.whole, trim_mask(nucleus | cell, left, top))
    assert same(outline.nucleus_mask, trim_mask(nucleus, left, top))
    assert not (outline.nucleus & ~outline.cell).any()
    assert outline.score == 0.5


def test_an_outline_without_a_nucleus_says_so() -> None:
    whole = np.ones((2, 2), np.bool_)
    with pytest.raises(ValueError, match=r"cell at \(3, 4\) has no nucleus"):
        _ = CellOutline(3, 4, whole, ~whole, 1.0).nucleus_mask


@settings(deadline=None)
@given(Seeds)
def test_a_cell_is_named_by_a_pixel_of_its_own_nucleus_so_no_two_have_one_name(seed: int) -> None:
    nucleus, cell = draw_labels(seed)
    outlines = outlines_from_labels(nucleus, cell)
    names = [outline.cell_id for outline in outlines]
    assert len(set(names)) == len(names)
    for outline, name in zip(outlines, names, strict=True):
        x, y = (int(number) for number in name.removeprefix("x").split("y"))
        assert outline.nucleus[y - outline.top, x - outline.left]
        # No other pixel of the nucleus lies nearer to its centre.
        rows, columns = np.nonzero(outline.nucleus)
        centre = outline.nucleus_mask.centre
        nearest = np.hypot(columns + outline.left - centre[0], rows + outline.top - centre[1]).min()
        assert np.hypot(x - centre[0], y - centre[1]) == pytest.approx(nearest)


@settings(deadline=None)
@given(Seeds)
def test_a_cell_keeps_its_name_when_others_are_dropped_or_ordered_otherwise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nucleus, cell = draw_labels(seed)
    names = {o.cell_id for o in outlines_from_labels(nucleus, cell)}
    gone = rng.choice(np.arange(20), 8, replace=False)
    others = rng.permutation(np.arange(1, 20))
    table = np.concatenate([[0], others]).astype(np.int32)
    table[gone] = 0
    fewer = {o.cell_id for o in outlines_from_labels(table[nucleus], table[cell])}
    assert fewer <= names
    assert len(fewer) == len({label for label in np.unique(nucleus) if table[label] > 0})


def test_the_name_is_of_the_nucleus_and_not_of_what_is_around_it() -> None:
    nucleus = np.zeros((9, 9), np.bool_)
    nucleus[3:6, 2:5] = True
    wide = outline_cell(nucleus, np.ones_like(nucleus), 100, 200)
    narrow = outline_cell(nucleus, nucleus, 100, 200)
    assert wide is not None
    assert narrow is not None
    assert wide.cell_id == narrow.cell_id == "x103y204"
    assert name_cell(wide.whole) == "x104y204"


def test_a_nucleus_in_a_ring_is_named_by_its_own_pixel() -> None:
    ring = np.ones((5, 5), np.bool_)
    ring[1:4, 1:4] = False
    x, y = (int(n) for n in name_cell(BoxedMask(0, 0, ring))[1:].split("y"))
    assert ring[y, x]


@settings(deadline=None)
@given(Seeds)
def test_label_images_come_back_as_they_were(seed: int) -> None:
    nucleus, cell = draw_labels(seed)
    outlines = outlines_from_labels(nucleus, cell)
    kept = [label for label in np.unique(cell) if label and (nucleus == label).any()]
    assert len(outlines) == len(kept)
    assert all(np.isnan(outline.score) for outline in outlines)
    table = np.zeros(30, np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    drawn_nucleus, drawn_cell = render_labels(outlines, *cell.shape)
    assert drawn_nucleus.dtype == drawn_cell.dtype == np.int32
    np.testing.assert_array_equal(drawn_nucleus, table[nucleus])
    np.testing.assert_array_equal(drawn_cell, table[cell])
    for before, after in zip(outlines, outlines_from_labels(drawn_nucleus, drawn_cell), strict=True):
        assert same(before.whole, after.whole)
        assert same(before.nucleus_mask, after.nucleus_mask)


@settings(deadline=None)
@given(Seeds, st.integers(-12, 12), st.integers(-12, 12))
def test_outlines_beyond_the_border_are_drawn_as_far_as_they_lie_inside(seed: int, dx: int, dy: int) -> None:
    nucleus, cell = draw_labels(seed)
    height, width = cell.shape
    outlines = outlines_from_labels(nucleus, cell)
    whole = render_labels(outlines, height, width)
    moved = [CellOutline(o.left - dx, o.top - dy, o.cell, o.nucleus, o.score) for o in outlines]
    for drawn, before in zip(render_labels(moved, 10, 11), whole, strict=True):
        expected = np.pad(before, 60)[60 + dy : 70 + dy, 60 + dx : 71 + dx]
        np.testing.assert_array_equal(drawn, expected)


def test_where_outlines_overlap_the_later_one_has_the_pixel() -> None:
    square = np.ones((4, 4), np.bool_)
    outlines = [CellOutline(x, 0, square, square, 1.0) for x in (0, 2)]
    for order in itertools.permutations(outlines):
        nucleus, cell = render_labels(order, 4, 6)
        assert np.array_equal(nucleus, cell)
        assert np.count_nonzero(cell == 2) == 16
        assert np.count_nonzero(cell == 1) == 8


def test_no_cells_are_blank_images_and_none_come_back() -> None:
    nucleus, cell = render_labels((), 3, 5)
    assert nucleus.shape == cell.shape == (3, 5)
    assert outlines_from_labels(nucleus, cell) == ()


def test_a_nucleus_outside_its_whole_cell_belongs_to_it() -> None:
    nucleus, cell = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    cell[0:2, 0:2] = 1
    nucleus[4:6, 4:6] = 1
    (outline,) = outlines_from_labels(nucleus, cell)
    assert outline.cell.shape == (6, 6)
    assert np.count_nonzero(outline.cell) == 8


def test_an_outline_may_be_4096_pixels_wide_and_no_wider() -> None:
    check_side((4096, 1))
    ends = [BoxedMask(left, 0, np.ones((1, 1), np.bool_)) for left in (0, 4095, 4096)]
    assert unite_masks(ends[:2]).mask.shape == (1, 4096)
    for sides in ((4097, 1), (1, 4096.5)):
        with pytest.raises(DataError, match="over 4096 pixels"):
            check_side(sides)
    with pytest.raises(DataError, match="over 4096 pixels"):
        unite_masks(ends)
