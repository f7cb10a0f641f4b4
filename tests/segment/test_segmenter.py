from collections.abc import Mapping

import numpy as np
import pytest
from erythron.segment.segmentation import Segmentation
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.segment.assembly import Canvas
from erythron.segment.segmenter import Segmenter, load_segmenter, rescale
from erythron.segment.windows import OutlinedCells, find_distinct, nucleus_centres, outline_points

MPP = 0.25
SMEAR, RED, CYTOPLASM, NUCLEUS = (235, 225, 230), (205, 150, 140), (165, 155, 205), (80, 35, 125)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter(load_bundle())


def draw(shape, red_cells=(), cells=()):
    """cells: (x, y, cell radius, nucleus radius)."""
    picture = Image.new("RGB", (shape[1], shape[0]), SMEAR)
    pen = ImageDraw.Draw(picture)

    def disc(x, y, r, colour):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    for x, y, r in red_cells:
        disc(x, y, r, RED)
    for x, y, r, _ in cells:
        disc(x, y, r, CYTOPLASM)
    for x, y, _, r in cells:
        disc(x, y, r, NUCLEUS)
    noisy = np.asarray(picture, np.float32) + np.random.default_rng(0).normal(0, 3, (*shape, 3))
    return np.clip(ndimage.gaussian_filter(noisy, (0.8, 0.8, 0)), 0, 255).astype(np.uint8)


def check_invariants(found: Segmentation, shape):
    assert found.nucleus.shape == found.cell.shape == shape
    assert found.nucleus.dtype == found.cell.dtype == np.int32
    labels = set(np.unique(found.nucleus)) - {0}
    assert labels == set(range(1, found.count + 1))
    assert set(np.unique(found.cell)) - {0} == labels
    inside = found.nucleus > 0
    assert np.array_equal(found.cell[inside], found.nucleus[inside])


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


RED_CELLS = [(40, 40, 14), (90, 45, 14), (200, 150, 14), (240, 60, 14), (60, 200, 14)]
CELLS = [(60, 120, 22, 14), (150, 70, 20, 12), (140, 200, 22, 14), (180, 205, 20, 11)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 50), (70, 90)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_has_no_cell(segmenter, shape, level):
    rgb = np.full((*shape, 3), level, np.uint8)
    for found in (segmenter.segment_field(rgb, MPP), segmenter.segment_central(rgb, MPP)):
        assert found.count == 0
        check_invariants(found, shape)


@pytest.mark.parametrize("shape", [(2, 3), (1, 50), (64, 64), (150, 211)])
@pytest.mark.parametrize("spread", [20, 256])
def test_noise_keeps_the_invariants(segmenter, shape, spread):
    noise = np.random.default_rng(1).integers(0, spread, (*shape, 3), dtype=np.uint8)
    check_invariants(segmenter.segment_field(noise, MPP), shape)
    check_invariants(segmenter.segment_central(noise, MPP), shape)


def test_field_finds_nucleated_cells_and_no_red_cell(segmenter):
    found = segmenter.segment_field(draw((260, 280), RED_CELLS, CELLS), MPP)
    check_invariants(found, (260, 280))
    assert found.count == len(CELLS)
    assert len({found.nucleus[y, x] for x, y, *_ in CELLS} - {0}) == len(CELLS)
    assert not any(found.cell[y, x] for x, y, _ in RED_CELLS)


def test_field_of_red_cells_alone_is_empty(segmenter):
    assert segmenter.segment_field(draw((260, 280), RED_CELLS), MPP).count == 0


def test_central_takes_the_cell_in_the_middle(segmenter):
    rgb = draw((137, 137), cells=[(68, 68, 22, 13), (20, 25, 20, 12), (110, 115, 20, 12)])
    found = segmenter.segment_central(rgb, MPP)
    y, x = np.mgrid[:137, :137]
    assert found.count == 1
    assert dice(found.nucleus > 0, np.hypot(x - 68, y - 68) <= 13) > 0.9
    assert found.cell[25, 20] == found.cell[115, 110] == 0


@pytest.mark.parametrize("share", [0.7, 1.0])
def test_a_crop_of_unknown_scale_is_outlined_whole_though_it_shows_less_than_assumed(segmenter, share):
    size = round(137 * share)
    middle = size / 2
    rgb = draw((size, size), cells=[(middle, middle, 30, 20)])
    found = segmenter.segment_central(rgb, 32 / size, assumed=True)
    y, x = np.mgrid[:size, :size]
    check_invariants(found, (size, size))
    assert dice(found.cell > 0, np.hypot(x - middle, y - middle) <= 30) > 0.9


def test_a_segmented_nucleus_is_of_one_cell(segmenter):
    lobes = [(90 + 22 * np.cos(a), 90 + 22 * np.sin(a), 0, 11) for a in (0.3, 2.4, 4.5)]
    rgb = draw((180, 180), cells=[(90, 90, 38, 0), *lobes])
    found = segmenter.segment_central(rgb, 0.17)
    assert found.count == 1
    assert all(found.nucleus[round(y), round(x)] for x, y, *_ in lobes)
    assert segmenter.segment_field(rgb, 0.17).count == 1


def test_tiles_change_no_cell_count(segmenter, monkeypatch):
    """A cell on the seam of two tiles is one cell."""
    rgb = draw(
        (400, 500), RED_CELLS, [(60 + 75 * i, 60 + 70 * j, 20, 12) for i in range(6) for j in range(5)]
    )
    whole = segmenter.segment_field(rgb, MPP)
    monkeypatch.setattr("erythron.segment.segmenter.TILE_PX", 100)
    tiled = segmenter.segment_field(rgb, MPP)
    assert tiled.count == whole.count == 30
    assert dice(tiled.cell > 0, whole.cell > 0) > 0.98


class Discs:
    """An outliner that sees a nucleus of 8 px and a cell of 14 px in the middle of every window."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        count, size = inputs["pixels"].shape[:2]
        y, x = np.mgrid[:size, :size] + 0.5
        away = np.hypot(x - size / 2, y - size / 2)
        return {"probabilities": np.stack([np.stack([away < 8, away < 14])] * count).astype(np.float32)}


def outline(points):
    return outline_points(Discs(), np.full((120, 160, 3), 255, np.uint8), np.array(points, float), 48)


def test_a_nucleus_is_found_where_the_window_was_centred():
    points = np.array([[30.0, 40.0], [60.0, 100.0]])
    assert np.allclose(nucleus_centres(outline(points)), points)


def test_repeats_are_dropped_and_neighbours_kept():
    assert len(find_distinct(outline([[50, 50], [52, 51], [50, 70]]), 0.4)) == 2


def test_cells_stay_apart_on_the_canvas_and_at_its_border():
    canvas = Canvas(np.full((240, 320, 3), 255, np.uint8), 0.2)
    canvas.add(outline([[50, 50], [50, 66], [0, 0]]), 2.0, (0, 0))
    found = canvas.finish()
    check_invariants(found, (240, 320))
    assert found.count == 3
    assert found.nucleus[100, 100] != found.nucleus[100, 132]
    assert found.cell[0, 0] == 3


def test_a_cell_outside_the_canvas_is_none():
    canvas = Canvas(np.full((50, 50, 3), 255, np.uint8), 0.2)
    canvas.add(outline([[100, 140]]), 1.0, (0, 0))
    assert canvas.finish().count == 0


def test_no_points_give_no_cells():
    found = outline(np.zeros((0, 2)))
    assert isinstance(found, OutlinedCells)
    assert found.maps.shape == (0, 2, 48, 48)


def test_rescaling_never_loses_the_last_pixel():
    assert rescale(np.zeros((3, 2, 3), np.uint8), 0.1).shape == (1, 1, 3)
