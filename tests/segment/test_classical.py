from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from erythron.segment import classical
from erythron.segment.classical import segment_central, segment_field
from erythron.segment.segmentation import Segmentation

BACKGROUND, RED, CYTOPLASM, NUCLEUS = (235, 225, 230), (205, 150, 140), (150, 140, 200), (80, 30, 120)


def draw(shape, red_cells=(), cells=(), blur=0.8):
    """cells: (x, y, cell radius, nucleus radius)."""
    picture = Image.new("RGB", (shape[1], shape[0]), BACKGROUND)
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
    return np.clip(ndimage.gaussian_filter(noisy, (blur, blur, 0)), 0, 255).astype(np.uint8)


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


FIELD = {
    "red_cells": [(40, 40, 14), (90, 45, 14), (200, 150, 14), (240, 60, 14), (60, 200, 14)],
    "cells": [(60, 120, 20, 14), (150, 70, 18, 12), (146, 200, 20, 14), (172, 200, 20, 11)],
}


@pytest.mark.parametrize("segment", [segment_field, segment_central])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 50), (70, 90)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_has_no_cell(segment, shape, level):
    found = segment(np.full((*shape, 3), level, np.uint8))
    assert found.count == 0
    check_invariants(found, shape)


@pytest.mark.parametrize("segment", [segment_field, segment_central])
@pytest.mark.parametrize("shape", [(2, 3), (1, 50), (64, 64), (150, 211)])
@pytest.mark.parametrize("spread", [20, 256])
def test_noise_keeps_the_invariants(segment, shape, spread):
    noise = np.random.default_rng(1).integers(0, spread, (*shape, 3), dtype=np.uint8)
    check_invariants(segment(noise), shape)


def test_field_finds_nucleated_cells_and_no_red_cell():
    found = segment_field(draw((260, 280), **FIELD))
    check_invariants(found, (260, 280))
    assert found.count == len(FIELD["cells"])
    assert len({found.nucleus[y, x] for x, y, *_ in FIELD["cells"]} - {0}) == len(FIELD["cells"])
    assert not any(found.cell[y, x] for x, y, _ in FIELD["red_cells"])


def test_field_of_red_cells_alone_is_empty():
    assert segment_field(draw((260, 280), red_cells=FIELD["red_cells"])).count == 0


def test_black_border_is_no_cell():
    field = draw((260, 280), **FIELD)
    framed = np.pad(field, ((30, 30), (30, 30), (0, 0)))
    found = segment_field(framed)
    assert found.count == len(FIELD["cells"])
    assert not found.cell[:28].any()
    assert not found.cell[:, :28].any()


def test_touching_nuclei_are_two_cells():
    found = segment_field(draw((120, 160), cells=[(60, 60, 18, 15), (88, 60, 18, 15)]))
    assert found.count == 2


def test_lobes_in_one_cytoplasm_are_one_cell():
    field = draw((140, 220), cells=[(60, 70, 24, 1), (160, 70, 22, 16)])
    pen_at = [(50, 62), (70, 62), (60, 82)]
    y, x = np.ogrid[:140, :220]
    for cx, cy in pen_at:
        field[(x - cx) ** 2 + (y - cy) ** 2 <= 81] = NUCLEUS
    found = segment_field(field)
    assert found.count == 2
    assert len({found.nucleus[cy, cx] for cx, cy in pen_at}) == 1


def test_central_cell_is_outlined_and_neighbours_left_out():
    crop = draw((137, 137), cells=[(68, 68, 24, 16), (68, 20, 20, 15), (118, 80, 20, 15)])
    found = segment_central(crop)
    check_invariants(found, (137, 137))
    assert found.count == 1
    y, x = np.ogrid[:137, :137]
    away = (x - 68) ** 2 + (y - 68) ** 2
    assert dice(found.nucleus > 0, away <= 16**2) > 0.93
    assert dice(found.cell > 0, away <= 24**2) > 0.9


def test_central_takes_the_only_cell_where_none_is_central():
    found = segment_central(draw((200, 200), cells=[(30, 30, 24, 16)]))
    assert found.nucleus[30, 30] == 1


def test_dimmer_light_finds_the_same_cells():
    field = draw((260, 280), **FIELD)
    dim = (field * np.array([0.7, 0.75, 0.65])).astype(np.uint8)
    assert segment_field(dim).count == segment_field(field).count


def test_tiles_agree_with_the_whole(monkeypatch):
    field = np.tile(draw((260, 280), **FIELD), (2, 2, 1))
    whole = segment_field(field)
    monkeypatch.setattr(classical, "TILE_PX", 300)
    monkeypatch.setattr(classical, "SAMPLE_PX", 170)
    tiled = segment_field(field)
    check_invariants(tiled, field.shape[:2])
    assert tiled.count == whole.count == 4 * len(FIELD["cells"])
    assert dice(tiled.cell > 0, whole.cell > 0) > 0.95


def test_result_is_the_same_each_time():
    field = draw((260, 280), **FIELD)
    first, second = segment_field(field), segment_field(field)
    assert np.array_equal(first.cell, second.cell)


@pytest.mark.real_data
def test_real_field_has_its_cells(data_dir: Path):
    path = data_dir / "marrow-field" / "marrow-field-left.png"
    rgb = np.asarray(Image.open(path).convert("RGB"))
    found = segment_field(rgb)
    check_invariants(found, rgb.shape[:2])
    assert 130 <= found.count <= 230


@pytest.mark.real_data
def test_real_marrow_crops_reach_the_stated_overlap(data_dir: Path):
    cell, nucleus = [], []
    for path in sorted((data_dir / "marrow-masks").glob("*.png"))[::2]:
        truth = np.asarray(Image.open(path).convert("L"))
        crop = data_dir / "pathology-bites-cells" / "public" / "images" / "cells" / path.name
        found = segment_central(np.asarray(Image.open(crop).convert("RGB")))
        cell.append(dice(found.cell > 0, truth > 64))
        nucleus.append(dice(found.nucleus > 0, truth > 200))
    assert np.mean(cell) > 0.75
    assert np.mean(nucleus) > 0.8
