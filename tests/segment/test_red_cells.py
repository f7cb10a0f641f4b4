import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from erythron.segment.red_cells import find_red_cells

SMEAR, RED_CELL, NUCLEUS = (235, 228, 230), (205, 150, 140), (90, 40, 140)


def draw_discs(discs, colour=RED_CELL, size=(300, 240)):
    """(row, column, diameter) discs, a little blurred as by a lens."""
    picture = Image.new("RGB", size, SMEAR)
    pen = ImageDraw.Draw(picture)
    for row, column, d in discs:
        pen.ellipse((column - d / 2, row - d / 2, column + d / 2, row + d / 2), fill=colour)
    return ndimage.gaussian_filter(np.asarray(picture), (1, 1, 0))


def test_a_single_cell_is_measured_where_it_lies():
    found = find_red_cells(draw_discs([(100, 150, 40)]))
    assert found.diameter_px == pytest.approx([40], rel=0.04)
    assert found.centre[0] == pytest.approx([100, 150], abs=1)
    assert found.rim[0] > 0.9


def test_overlapping_cells_keep_their_own_size():
    found = find_red_cells(draw_discs([(80, 90, 44), (80, 118, 44), (106, 104, 44), (180, 200, 44)]))
    assert len(found.diameter_px) == 4
    assert found.diameter_px == pytest.approx([44] * 4, rel=0.06)


def test_a_cell_cut_by_the_border_keeps_its_size():
    found = find_red_cells(draw_discs([(100, 6, 50), (150, 150, 50)]))
    assert found.diameter_px == pytest.approx([50, 50], rel=0.06)


@pytest.mark.parametrize("colour", [NUCLEUS, (150, 150, 150), (255, 255, 255)])
def test_discs_that_are_not_red_cells_are_left_out(colour):
    assert not len(find_red_cells(draw_discs([(100, 150, 40), (60, 60, 40)], colour)).diameter_px)


def test_a_nucleated_cell_with_red_cytoplasm_is_left_out():
    picture = draw_discs([(100, 150, 60), (60, 50, 40)]).copy()
    rows, columns = np.ogrid[:240, :300]
    picture[(rows - 100) ** 2 + (columns - 150) ** 2 < 15**2] = NUCLEUS
    assert find_red_cells(picture).diameter_px == pytest.approx([40], rel=0.04)


def test_squares_are_left_out():
    picture = draw_discs([]).copy()
    picture[40:100, 40:100] = picture[140:200, 160:220] = RED_CELL
    assert not len(find_red_cells(picture).diameter_px)


@pytest.mark.parametrize("smoothing", [0, 1, 2, 4])
def test_grey_noise_has_no_red_cells(smoothing):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(300, 400)), smoothing)
    grey = np.clip(190 + 30 * noise / noise.std(), 0, 255).astype(np.uint8)
    assert not len(find_red_cells(np.repeat(grey[..., None], 3, axis=2)).diameter_px)


def test_turning_the_image_turns_the_cells():
    picture = draw_discs([(80, 90, 44), (90, 118, 40), (180, 200, 52)])
    found, turned = find_red_cells(picture), find_red_cells(np.ascontiguousarray(picture[::-1, ::-1]))
    assert np.sort(found.diameter_px) == pytest.approx(np.sort(turned.diameter_px), rel=0.03)
