from __future__ import annotations

import numpy as np
import pytest
from erythron.segment.segmentation import Segmentation

from erythron.classify.crops import CropGeometry, cut_cells
from erythron.read.light import BACKGROUND_LEVEL, balance_light


def draw_disc(side: int, x: float, y: float, radius: float) -> tuple[np.ndarray, Segmentation]:
    yy, xx = np.mgrid[:side, :side]
    distance = np.hypot(xx - x, yy - y)
    rgb = np.full((side, side, 3), 255, np.uint8)
    rgb[distance < radius] = 50
    return rgb, Segmentation((distance < radius / 2).astype(np.int32), (distance < radius).astype(np.int32))


@pytest.mark.parametrize("mpp", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("centre", [(60.0, 60.0), (58.3, 63.8)])
def test_a_disc_stays_centred_and_keeps_its_size_in_micrometres(
    mpp: float, centre: tuple[float, float]
) -> None:
    radius_um, geometry = 4.0, CropGeometry(64, 0.25)
    rgb, segmentation = draw_disc(160, *centre, radius_um / mpp)
    crops = cut_cells(rgb, segmentation, [centre], mpp, geometry)
    cell = crops.masks[0, ..., 1] / 255
    assert np.sqrt(cell.sum() / np.pi) * geometry.mpp == pytest.approx(radius_um, rel=0.03)
    yy, xx = np.mgrid[:64, :64]
    assert (cell * xx).sum() / cell.sum() == pytest.approx(31.5, abs=0.5)
    assert (cell * yy).sum() / cell.sum() == pytest.approx(31.5, abs=0.5)
    assert (crops.pixels[0, ..., 0][cell > 0.99] <= 50 + 0.01 * 205).all()


def test_masks_and_pixels_are_cut_alike() -> None:
    rgb, segmentation = draw_disc(90, 40.4, 47.7, 20)
    crops = cut_cells(rgb, segmentation, [(35.0, 50.0)], 0.2, CropGeometry(80, 0.22))
    dark = (255 - crops.pixels[0, ..., 0].astype(float)) / (255 - 50)
    assert np.abs(dark - crops.masks[0, ..., 1] / 255).max() < 0.02


@pytest.mark.parametrize("mpp", [0.1, 0.083, 0.3])
def test_a_crop_is_the_middle_of_a_larger_one(mpp: float) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (360, 360, 3), dtype=np.uint8)
    _, segmentation = draw_disc(360, 178.3, 181.6, 150)
    small, large = (
        cut_cells(rgb, segmentation, [(178.3, 181.6)], mpp, CropGeometry(size, 0.2)) for size in (80, 100)
    )
    for part, whole in ((small.pixels, large.pixels), (small.masks, large.masks)):
        assert np.abs(part.astype(int) - whole[:, 10:90, 10:90]).max() <= 1


def test_beyond_the_image_is_empty_smear_and_no_mask() -> None:
    rgb, segmentation = draw_disc(50, 2, 2, 10)
    crops = cut_cells(np.minimum(rgb, 200), segmentation, [(2.0, 2.0)], 0.25, CropGeometry(64, 0.25))
    assert (crops.pixels[0, :28, :28] == BACKGROUND_LEVEL).all()
    assert (crops.masks[0, :28] == 0).all()
    assert crops.masks[0, 34, 34, 1] == 255


def test_only_the_own_cell_is_in_the_mask() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[10:20, 10:20], labels[10:20, 22:32] = 1, 2
    crops = cut_cells(
        np.zeros((60, 60, 3), np.uint8),
        Segmentation(labels, labels),
        [(14.5, 14.5), (26.5, 14.5)],
        1.0,
        CropGeometry(32, 1.0),
    )
    assert [int((m[..., 1] > 127).sum()) for m in crops.masks] == [100, 100]


def test_no_cells_make_empty_arrays() -> None:
    rgb, segmentation = draw_disc(50, 20, 20, 10)
    assert cut_cells(rgb, segmentation, [], 0.2, CropGeometry(48, 0.2)).pixels.shape == (0, 48, 48, 3)


def test_balancing_takes_the_tint_out() -> None:
    tint = np.array([250, 220, 180], np.float32)
    clear = np.full((4, 4, 3), 128, np.uint8)
    tinted = (clear * tint / 255).round().astype(np.uint8)
    assert np.abs(balance_light(tinted, tint).astype(int) - 128).max() <= 1
