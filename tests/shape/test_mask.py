"""Masks: values and hulls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull, Delaunay

from erythron.cells.outline import outline_cell, outlines_from_labels
from erythron.shape.mask import convex_hull, hull_plane, render_mask, render_shapes
from erythron.shape.mask_shape import MaskShape


def test_render_mask_has_the_three_values() -> None:
    cell = np.zeros((20, 30), np.int32)
    cell[2:10, 2:10] = 1
    cell[10:18, 10:25] = 2
    cell[10:14, 10:15] = 0
    nucleus = np.zeros_like(cell)
    nucleus[4:8, 4:8] = 1
    nucleus[15:17, 16:20] = 2
    mask = render_mask(outlines_from_labels(nucleus, cell), 20, 30)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 128, 255}
    np.testing.assert_array_equal(mask == 255, nucleus > 0)
    np.testing.assert_array_equal(mask > 0, cell > 0)


def test_no_cells_give_a_mask_of_zeros() -> None:
    mask = render_mask((), 4, 6)
    assert mask.shape == (4, 6)
    assert not mask.any()


def test_the_hull_of_a_graded_plane_keeps_its_border_and_fills_its_concavity() -> None:
    plane = np.zeros((12, 12), np.uint8)
    plane[2:10, 2:4] = plane[8:10, 2:10] = 255
    plane[1, 2:4] = 100
    plane[2, 9] = 127  # not quite half
    hull = hull_plane(plane)
    assert hull.dtype == np.uint8
    assert (hull >= plane).all()
    assert hull[5, 5] == 255
    assert hull[1, 2] == 100
    assert (hull[2, 8], hull[2, 9]) == (0, 127)


def test_hull_fills_a_concavity_and_nothing_else() -> None:
    mask = np.zeros((12, 12), bool)
    mask[2:10, 2:4] = True
    mask[8:10, 2:10] = True
    hull = convex_hull(mask)
    assert hull[mask].all()
    assert hull[5, 5]
    assert not hull[2, 9]
    assert not hull[:2].any()


@pytest.mark.parametrize(
    "points", [[], [(3, 3)], [(3, 1), (3, 6)], [(1, 4), (6, 4)], [(1, 1), (5, 5)], [(1, 1), (3, 7)]]
)
@pytest.mark.filterwarnings("error")
def test_hull_of_points_on_a_line_is_the_line(points: list[tuple[int, int]]) -> None:
    mask = np.zeros((9, 9), bool)
    for p in points:
        mask[p] = True
    hull = convex_hull(mask)
    expected = mask.copy()
    if len(points) == 2:
        (y0, x0), (y1, x1) = points
        steps = int(np.gcd(y1 - y0, x1 - x0))
        for i in range(steps + 1):
            expected[y0 + i * (y1 - y0) // steps, x0 + i * (x1 - x0) // steps] = True
    np.testing.assert_array_equal(hull, expected)


@settings(deadline=None, max_examples=60)
@given(arrays(bool, (9, 11)))
def test_hull_is_a_superset_and_its_own_hull(mask: np.ndarray) -> None:
    hull = convex_hull(mask)
    assert hull[mask].all()
    np.testing.assert_array_equal(convex_hull(hull), hull)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_hull_holds_exactly_the_centres_inside_the_polygon(seed: int) -> None:
    mask = np.random.default_rng(seed).random((10, 10)) < 0.15
    points = np.argwhere(mask)
    if len(points) < 3 or np.linalg.matrix_rank(points - points[0]) < 2:
        return
    corners = points[ConvexHull(points).vertices]
    grid = np.argwhere(np.ones_like(mask))
    inside = Delaunay(corners).find_simplex(grid, tol=1e-9) >= 0
    np.testing.assert_array_equal(convex_hull(mask).ravel(), inside)


def test_each_cell_has_its_own_hull_and_shapes_are_subsets_of_one_another() -> None:
    outlines = []
    for x in (6, 22):
        cell = np.zeros((32, 32), bool)
        cell[8:24, x - 4 : x + 5] = True
        cell[14:18, x : x + 5] = False
        nucleus = np.zeros_like(cell)
        nucleus[9:12, x - 2 : x + 2] = True
        outline = outline_cell(nucleus, cell)
        assert outline is not None
        outlines.append(outline)
    both, cell, hull = (render_shapes(outlines, 32, 32, shape) for shape in MaskShape)
    assert set(np.unique(both)) == {0, 128, 255}
    assert set(np.unique(cell)) == set(np.unique(hull)) == {0, 255}
    np.testing.assert_array_equal(cell > 0, both > 0)
    assert (hull[16, 10], cell[16, 10]) == (255, 0)
    assert not hull[:, 13:16].any()
