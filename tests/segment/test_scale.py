import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from erythron.segment.scale import (
    MIN_RED_CELLS,
    RED_CELL_SPREAD,
    RED_CELL_UM,
    WORKED_PX,
    estimate_scale,
)
from erythron.synthetic.field import DrawnFieldSpec, draw_field


def red_cells(diameters, pallor=0.3):
    picture = Image.new("RGB", (70 * len(diameters) + 20, 100), (235, 228, 230))
    pen = ImageDraw.Draw(picture)
    for i, d in enumerate(diameters):
        x, y = 50 + 70 * i, 50
        pen.ellipse((x - d / 2, y - d / 2, x + d / 2, y + d / 2), fill=(205, 150, 140))
        p = pallor * d / 2
        pen.ellipse((x - p, y - p, x + p, y + p), fill=(230, 215, 215))
    return ndimage.gaussian_filter(np.asarray(picture), (0.8, 0.8, 0))


def read_rgb(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_scale_comes_from_the_median_red_cell():
    estimate = estimate_scale(red_cells([38, 39, 40, 40, 41, 42, 40, 39]))
    assert estimate is not None
    assert estimate.red_cells == 8
    assert estimate.mpp == pytest.approx(RED_CELL_UM / 40, rel=0.05)


def test_interval_is_never_narrower_than_the_spread_between_smears():
    estimate = estimate_scale(red_cells([40] * 12))
    assert estimate is not None
    assert estimate.mpp_low <= estimate.mpp * np.exp(-1.96 * RED_CELL_SPREAD)
    assert estimate.mpp_high >= estimate.mpp * np.exp(1.96 * RED_CELL_SPREAD)


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


@pytest.mark.parametrize("mpp", [0.12, 0.25, 0.4])
def test_scale_of_drawn_fields_is_near_the_truth(mpp):
    estimate = estimate_scale(draw_field(DrawnFieldSpec(500, 400, mpp=mpp, seed=1)).rgb)
    assert estimate is not None
    assert estimate.mpp == pytest.approx(mpp, rel=0.06)
    assert estimate.mpp_low < mpp < estimate.mpp_high


def test_small_red_cells_of_a_large_image_are_measured_in_its_middle():
    tile = draw_field(DrawnFieldSpec(500, 400, mpp=0.4, seed=1)).rgb
    large = np.tile(tile, (5, 6, 1))
    assert large.shape[0] * large.shape[1] > 8 * WORKED_PX
    estimate = estimate_scale(large)
    assert estimate is not None
    assert estimate.mpp == pytest.approx(0.4, rel=0.06)


def test_importing_the_module_does_not_import_scikit_image():
    code = "import erythron.segment.scale, sys; sys.exit('skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
def test_blood_crops_of_one_scanner_agree(data_dir: Path):
    paths = sorted((data_dir / "pbc-acevedo").rglob("*.jpg"))[::400]
    found = [estimate_scale(read_rgb(p)) for p in paths]
    mpp = [e.mpp for e in found if e is not None]
    assert len(mpp) >= 0.8 * len(paths) > 5
    assert 0.09 < np.median(mpp) < 0.11
    assert np.std(np.log(mpp)) < 0.1


@pytest.mark.real_data
def test_overlapping_red_cells_of_the_marrow_field_give_its_scale(data_dir: Path):
    """Round red cells there are 27 to 32 pixels across, measured by hand."""
    field = read_rgb(data_dir / "marrow-field" / "marrow-field-left.png")
    whole = estimate_scale(field)
    assert whole is not None
    assert 27 < RED_CELL_UM / whole.mpp < 32
    thirds = [estimate_scale(field[top : top + 330]) for top in (0, 330, 660)]
    assert all(t is not None and whole.mpp_low < t.mpp < whole.mpp_high for t in thirds)


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "low", "high"), [("bccd", 75, 105), ("bcisc/original-images", 100, 130)])
def test_real_fields_of_blood_are_answered(data_dir: Path, folder, low, high):
    paths = sorted((data_dir / folder).rglob("*.jpg"))
    found = [estimate_scale(read_rgb(p)) for p in paths[:: len(paths) // 5]]
    diameters = [RED_CELL_UM / e.mpp for e in found if e is not None]
    assert len(diameters) >= 0.8 * len(found) > 3
    assert low < min(diameters)
    assert max(diameters) < high


@pytest.mark.real_data
def test_nucleated_cells_alone_give_none(data_dir: Path):
    """Real cells cut out along their outlines, on an empty ground."""
    canvas = np.full((700, 700, 3), (235, 228, 232), np.uint8)
    for k, path in enumerate(sorted((data_dir / "marrow-masks").glob("*.png"))[:25]):
        cell = np.asarray(Image.open(path).convert("L")) > 64
        top, left = 140 * (k // 5), 140 * (k % 5)
        place = canvas[top : top + cell.shape[0], left : left + cell.shape[1]]
        crop = read_rgb(data_dir / "pathology-bites-cells/public/images/cells" / path.name)
        place[cell] = crop[cell]
    assert estimate_scale(canvas) is None


def test_small_red_cells_are_measured_enlarged():
    field = draw_field(DrawnFieldSpec(1000, 800, mpp=0.25, seed=1)).rgb
    small = np.asarray(Image.fromarray(field).resize((400, 320), Image.Resampling.BILINEAR))
    estimate = estimate_scale(small)
    assert estimate is not None
    assert estimate.is_sure
    assert estimate.mpp == pytest.approx(0.25 / 0.4, rel=0.08)


def test_red_cells_that_lie_apart_are_measured_by_their_area_and_told_how_dark_they_are():
    estimate = estimate_scale(red_cells([38, 39, 40, 40, 41, 42, 40, 39, 40, 40]))
    assert estimate is not None
    assert estimate.mpp == pytest.approx(RED_CELL_UM / 40, rel=0.03)
    assert estimate.red_absorbance is not None
    assert 0.02 < estimate.red_absorbance < 0.4


def test_an_estimate_on_few_red_cells_is_not_sure_and_its_interval_is_wide():
    few, many = estimate_scale(red_cells([40] * 6)), estimate_scale(red_cells([40] * 9))
    assert few is not None
    assert many is not None
    assert (few.is_sure, many.is_sure) == (False, True)
    assert few.spread > 0.2 > many.spread


def test_large_red_cells_in_grain_are_not_taken_for_small_ones(data_dir):
    path = data_dir / "bccd/BCCD/JPEGImages/BloodImage_00035.jpg"
    estimate = estimate_scale(read_rgb(path))
    assert estimate is None or estimate.mpp < 0.12


def test_crowded_purple_cells_of_blood_through_a_telephone_have_a_scale(data_dir):
    [path] = (data_dir / "blood-phone").glob("*e3a6c37c2b3247c0034f64.jpg")
    estimate = estimate_scale(read_rgb(path))
    assert estimate is not None
    assert estimate.mpp == pytest.approx(0.6, rel=0.15)
