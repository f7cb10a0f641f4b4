from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from erythron.segment.scale import MIN_RED_CELLS, RED_CELL_UM, estimate_scale


def red_cells(diameters, pallor=0.3):
    picture = Image.new("RGB", (70 * len(diameters) + 20, 100), (235, 228, 230))
    pen = ImageDraw.Draw(picture)
    for i, d in enumerate(diameters):
        x, y = 50 + 70 * i, 50
        pen.ellipse((x - d / 2, y - d / 2, x + d / 2, y + d / 2), fill=(205, 150, 140))
        p = pallor * d / 2
        pen.ellipse((x - p, y - p, x + p, y + p), fill=(230, 215, 215))
    return np.asarray(picture)


def test_scale_comes_from_the_median_red_cell():
    estimate = estimate_scale(red_cells([38, 39, 40, 40, 41, 42, 40, 39]))
    assert estimate is not None
    assert estimate.red_cells == 8
    assert estimate.mpp == pytest.approx(RED_CELL_UM / 40, rel=0.05)
    assert estimate.mpp_low <= estimate.mpp <= estimate.mpp_high


def test_wider_spread_gives_a_wider_interval():
    narrow = estimate_scale(red_cells([40] * 8))
    wide = estimate_scale(red_cells([34, 36, 38, 40, 41, 43, 45, 47]))
    assert narrow is not None
    assert wide is not None
    assert wide.mpp_high - wide.mpp_low > narrow.mpp_high - narrow.mpp_low


def test_too_few_red_cells_give_none():
    assert estimate_scale(red_cells([40] * (MIN_RED_CELLS - 1))) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (50, 50)])
def test_blank_gives_none(shape):
    assert estimate_scale(np.full((*shape, 3), 200, np.uint8)) is None


def test_purple_discs_are_not_measured():
    picture = red_cells([40] * 6).copy()
    picture[(picture == (205, 150, 140)).all(axis=2)] = (90, 40, 140)
    assert estimate_scale(picture) is None


@pytest.mark.real_data
def test_blood_crops_of_one_scanner_agree(data_dir: Path):
    paths = sorted((data_dir / "pbc-acevedo").rglob("*.jpg"))[::150]
    found = [estimate_scale(np.asarray(Image.open(p).convert("RGB"))) for p in paths]
    mpp = [e.mpp for e in found if e is not None]
    assert len(mpp) >= 5
    assert 0.08 < np.median(mpp) < 0.12
