"""A rectangle of pixels."""

from __future__ import annotations

import numpy as np

from erythron.read.box import Box


def test_what_two_boxes_have_in_common() -> None:
    box = Box(10, 20, 50, 40)
    assert box.intersect(Box(30, 0, 70, 30)) == Box(30, 20, 50, 30)
    assert box.intersect(Box(0, 0, 100, 100)) == box
    assert box.area_px == 800


def test_boxes_that_lie_apart_have_no_pixel_in_common() -> None:
    apart = Box(0, 0, 10, 10).intersect(Box(20, 20, 30, 30))
    assert apart.area_px == 0
    assert Box(0, 0, 10, 10).intersect(Box(10, 0, 20, 10)).area_px == 0


def test_a_box_grows_to_every_side() -> None:
    assert Box(10, 20, 50, 40).grow(3) == Box(7, 17, 53, 43)


def test_a_box_cuts_its_pixels_out_without_a_copy() -> None:
    rgb = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3)
    cut = Box(5, 10, 15, 20).cut(rgb)
    assert cut.shape == (10, 10, 3)
    np.testing.assert_array_equal(cut[0, 0], rgb[10, 5])
    assert np.shares_memory(cut, rgb)
