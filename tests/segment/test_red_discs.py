"""Red cells that lie apart are measured by their area, and nothing else is taken for them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from erythron.segment import red_discs

GLASS, PINK, PURPLE, NUCLEUS = (235, 228, 230), (205, 150, 140), (150, 100, 190), (70, 30, 110)


def measure_red_discs(rgb):
    return red_discs.measure_red_discs(rgb).diameter_px


def draw(shapes, colour, size=(520, 420)):
    picture = Image.new("RGB", size, GLASS)
    pen = ImageDraw.Draw(picture)
    for i, (width, height) in enumerate(shapes):
        x, y = 50 + 80 * (i % 6), 50 + 80 * (i // 6)
        pen.ellipse((x - width / 2, y - height / 2, x + width / 2, y + height / 2), fill=colour)
    return np.asarray(picture)


@pytest.mark.parametrize("colour", [PINK, PURPLE])
def test_discs_have_the_diameter_of_their_area_whatever_their_colour(colour):
    found = measure_red_discs(draw([(40, 40)] * 12, colour))
    assert len(found) == 12
    assert np.median(found) == pytest.approx(40, rel=0.05)


def test_ellipses_are_measured_by_their_area_where_a_circle_on_their_tips_is_too_small():
    found = measure_red_discs(draw([(56, 28)] * 12, PINK))
    assert len(found) == 12
    assert np.median(found) == pytest.approx(np.sqrt(56 * 28), rel=0.05)


def test_a_pale_middle_belongs_to_the_cell():
    picture = Image.fromarray(draw([(44, 44)] * 12, PINK))
    pen = ImageDraw.Draw(picture)
    for i in range(12):
        x, y = 50 + 80 * (i % 6), 50 + 80 * (i // 6)
        pen.ellipse((x - 12, y - 12, x + 12, y + 12), fill=GLASS)
    assert np.median(measure_red_discs(np.asarray(picture))) == pytest.approx(44, rel=0.05)


def test_nuclei_are_no_red_cells():
    assert len(measure_red_discs(draw([(40, 40)] * 12, NUCLEUS))) == 0


def test_discs_of_many_sizes_are_no_red_cells():
    sizes = [30, 31, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50]
    assert len(measure_red_discs(draw([(s, s) for s in sizes], PINK))) == 0


def test_two_cells_that_touch_are_not_one():
    picture = Image.fromarray(draw([(40, 40)] * 12, PINK))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((30, 250, 70, 290), fill=PINK)
    pen.ellipse((68, 250, 108, 290), fill=PINK)
    assert len(measure_red_discs(np.asarray(picture))) == 12


def test_the_few_discs_of_a_full_picture_are_chance():
    picture = np.asarray(draw([(40, 40)] * 12, PINK, (520, 1200))).copy()
    assert len(measure_red_discs(picture)) == 12
    picture[430:] = PINK
    assert len(measure_red_discs(picture)) == 0


@pytest.mark.parametrize("level", [0, 200])
def test_a_blank_image_has_none(level):
    assert len(measure_red_discs(np.full((200, 200, 3), level, np.uint8))) == 0
