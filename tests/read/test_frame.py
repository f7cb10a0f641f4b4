"""What of a picture shows an image, and what a border of one exact colour is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from erythron.errors import ImageReadError
from erythron.read.box import Box
from erythron.read.frame import find_frame
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import estimate_background
from erythron.read.stained import check_stained
from erythron.synthetic.field import DrawnFieldSpec, draw_field

SIDES = {
    "top": (np.s_[:30], Box(0, 30, 90, 80)),
    "bottom": (np.s_[50:], Box(0, 0, 90, 50)),
    "left": (np.s_[:, :40], Box(40, 0, 90, 80)),
    "right": (np.s_[:, 60:], Box(0, 0, 60, 80)),
}


def draw_smear() -> NDArray[np.uint8]:
    """Noise of a smear, 80 x 90, nowhere of one colour over a row or a column."""
    return np.random.default_rng(0).integers(60, 230, (80, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (12, 200, 7)])
@pytest.mark.parametrize("side", SIDES)
def test_whole_rows_or_columns_of_one_colour_at_a_border_show_no_image(
    side: str, colour: tuple[int, int, int]
) -> None:
    rgb = draw_smear()
    part, expected = SIDES[side]
    rgb[part] = colour
    assert find_frame(rgb) == expected
    np.testing.assert_array_equal(estimate_background(expected.cut(rgb)), make(rgb).background)


def test_a_picture_on_a_sheet_of_two_colours_is_found() -> None:
    rgb = np.full((100, 120, 3), 255, np.uint8)
    rgb[:10] = 0
    rgb[10:90, 20:110] = draw_smear()
    assert find_frame(rgb) == Box(20, 10, 110, 90)


def test_a_border_that_is_not_of_one_exact_colour_or_not_whole_is_part_of_the_image() -> None:
    whole = Box(0, 0, 90, 80)
    assert find_frame(draw_smear()) == whole
    nearly, rim = draw_smear(), draw_smear()
    nearly[40:] = 0
    nearly[40:, 3] = 1
    y, x = np.mgrid[:80, :90]
    rim[np.hypot(y - 39.5, x - 44.5) > 46] = 0  # of an eyepiece: it fills no row
    assert find_frame(nearly) == find_frame(rim) == whole


def test_a_border_of_the_colour_of_the_glass_beside_it_is_glass() -> None:
    rgb = draw_smear()
    rgb[30:50, ::4] = 255
    rgb[:20] = rgb[:, :30] = 255
    assert find_frame(rgb) == Box(0, 0, 90, 80)
    rgb[70:] = 0
    assert find_frame(rgb) == Box(0, 0, 90, 70)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_picture_of_one_colour_or_of_two_is_whole(shade: int) -> None:
    rgb = np.full((80, 90, 3), 255, np.uint8)
    rgb[40:] = shade
    assert find_frame(rgb) == Box(0, 0, 90, 80)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_stained_smear_passes_and_an_inverted_one_does_not_whatever_the_border(colour: int) -> None:
    rgb = draw_field(DrawnFieldSpec(300, 240, seed=4)).rgb.copy()
    rgb[160:] = colour
    check_stained(make(rgb))
    rgb[:160] = 255 - rgb[:160]
    with pytest.raises(ImageReadError, match="inverted"):
        check_stained(make(rgb))


def make(rgb: NDArray[np.uint8]) -> SmearImage:
    return SmearImage("a.png", rgb, None, ScaleSource.UNKNOWN)
