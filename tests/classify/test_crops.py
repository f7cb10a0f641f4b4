from __future__ import annotations

import numpy as np
import pytest

from erythron.cells.outline import BoxedMask, CellOutline, outline_cell, outlines_from_labels
from erythron.classify.crops import CropGeometry, cut_cells, cut_mask, cut_window
from erythron.read.light import BACKGROUND_LEVEL


def draw_disc(side: int, x: float, y: float, radius: float) -> tuple[np.ndarray, list[CellOutline | None]]:
    yy, xx = np.mgrid[:side, :side]
    distance = np.hypot(xx - x, yy - y)
    rgb = np.full((side, side, 3), 255, np.uint8)
    rgb[distance < radius] = 50
    return rgb, [outline_cell(distance < radius / 2, distance < radius)]


@pytest.mark.parametrize("mpp", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("centre", [(60.0, 60.0), (58.3, 63.8)])
def test_a_disc_stays_centred_and_keeps_its_size_in_micrometres(
    mpp: float, centre: tuple[float, float]
) -> None:
    radius_um, geometry = 4.0, CropGeometry(64, 0.25)
    rgb, outlines = draw_disc(160, *centre, radius_um / mpp)
    crops = cut_cells(rgb, outlines, [centre], mpp, geometry)
    cell = crops.masks[0, ..., 1] / 255
    assert np.sqrt(cell.sum() / np.pi) * geometry.mpp == pytest.approx(radius_um, rel=0.03)
    yy, xx = np.mgrid[:64, :64]
    assert (cell * xx).sum() / cell.sum() == pytest.approx(31.5, abs=0.5)
    assert (cell * yy).sum() / cell.sum() == pytest.approx(31.5, abs=0.5)
    assert (crops.pixels[0, ..., 0][cell > 0.99] <= 50 + 0.01 * 205).all()


def test_masks_and_pixels_are_cut_alike() -> None:
    rgb, outlines = draw_disc(90, 40.4, 47.7, 20)
    crops = cut_cells(rgb, outlines, [(35.0, 50.0)], 0.2, CropGeometry(80, 0.22))
    dark = (255 - crops.pixels[0, ..., 0].astype(float)) / (255 - 50)
    assert np.abs(dark - crops.masks[0, ..., 1] / 255).max() < 0.02


@pytest.mark.parametrize("mpp", [0.1, 0.083, 0.3])
def test_a_crop_is_the_middle_of_a_larger_one(mpp: float) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (360, 360, 3), dtype=np.uint8)
    _, outlines = draw_disc(360, 178.3, 181.6, 150)
    small, large = (
        cut_cells(rgb, outlines, [(178.3, 181.6)], mpp, CropGeometry(size, 0.2)) for size in (80, 100)
    )
    for part, whole in ((small.pixels, large.pixels), (small.masks, large.masks)):
        assert np.abs(part.astype(int) - whole[:, 10:90, 10:90]).max() <= 1


def test_beyond_the_image_is_empty_smear_and_no_mask() -> None:
    rgb, outlines = draw_disc(50, 2, 2, 10)
    crops = cut_cells(np.minimum(rgb, 200), outlines, [(2.0, 2.0)], 0.25, CropGeometry(64, 0.25))
    assert (crops.pixels[0, :28, :28] == BACKGROUND_LEVEL).all()
    assert (crops.masks[0, :28] == 0).all()
    assert crops.masks[0, 34, 34, 1] == 255


def test_only_the_own_cell_is_in_the_mask() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[10:20, 10:20], labels[10:20, 22:32] = 1, 2
    crops = cut_cells(
        np.zeros((60, 60, 3), np.uint8),
        outlines_from_labels(labels, labels),
        [(14.5, 14.5), (26.5, 14.5)],
        1.0,
        CropGeometry(32, 1.0),
    )
    assert [int((m[..., 1] > 127).sum()) for m in crops.masks] == [100, 100]


def test_no_cells_make_empty_arrays() -> None:
    rgb, _ = draw_disc(50, 20, 20, 10)
    assert cut_cells(rgb, [], [], 0.2, CropGeometry(48, 0.2)).pixels.shape == (0, 48, 48, 3)


def test_a_crop_without_an_outline_has_pixels_and_empty_masks() -> None:
    rgb, outlines = draw_disc(50, 20, 20, 10)
    crops = cut_cells(rgb, [None, *outlines], [(20.0, 20.0)] * 2, 0.2, CropGeometry(48, 0.2))
    assert (crops.pixels[0] == crops.pixels[1]).all()
    assert not crops.masks[0].any()
    assert crops.masks[1].any()


def test_a_cell_and_its_centre_come_together() -> None:
    rgb, outlines = draw_disc(50, 20, 20, 10)
    with pytest.raises(ValueError, match="zip"):
        cut_cells(rgb, outlines, [(20.0, 20.0)] * 2, 0.2, CropGeometry(48, 0.2))


@pytest.mark.parametrize("window", [(-3, -2, 4, 5), (2, 3, 9, 9), (5, 1, 40, 30), (30, 30, 33, 32)])
def test_a_window_shows_the_image_and_the_fill_beyond_it(window: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (12, 15, 3), dtype=np.uint8)
    left, top, right, bottom = window
    padded = np.pad(image, ((40, 40), (40, 40), (0, 0)), constant_values=255)
    expected = padded[top + 40 : bottom + 40, left + 40 : right + 40]
    np.testing.assert_array_equal(cut_window(image, window, 255), expected)


def test_a_mask_is_cut_where_it_lies_in_its_image() -> None:
    whole = np.random.default_rng(1).random((30, 40)) < 0.4
    whole[[0, -1]] = whole[:, [0, -1]] = False
    boxed = BoxedMask(7, 5, whole[5:22, 7:31])
    window = (3, 9, 28, 29)
    expected = np.zeros_like(whole)
    expected[5:22, 7:31] = whole[5:22, 7:31]
    np.testing.assert_array_equal(cut_mask(boxed, window), expected[9:29, 3:28])
