from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from erythron.segment.masks import fill_holes, grow, open_mask


@pytest.mark.parametrize("radius", [0.0, 0.7, 1.0, 1.5, 2.0, 3.09, 5.0, 7.7, 40.0])
@pytest.mark.parametrize("shape", [(40, 50), (1, 30), (30, 1), (7, 5)])
def test_growing_takes_what_the_distance_transform_says(radius: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(int(10 * radius))
    for share in (0.002, 0.02, 0.5, 1.0):
        mask = rng.random(shape) < share
        mask[tuple(rng.integers(0, shape))] = True
        assert np.array_equal(grow(mask, radius), ndimage.distance_transform_edt(~mask) <= radius)


def test_nothing_grows_from_nothing() -> None:
    assert not grow(np.zeros((9, 9), np.bool_), 3.0).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0])
def test_holes_are_filled_as_scipy_fills_them(share: float) -> None:
    rng = np.random.default_rng(int(10 * share))
    for shape in ((30, 40), (1, 20), (20, 1), (3, 3)):
        mask = rng.random(shape) < share
        assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 0.7, 0.9, 0.98, 1.0])
def test_masks_are_opened_as_scipy_opens_them(share: float, times: int) -> None:
    rng = np.random.default_rng(times)
    for shape in ((30, 40), (1, 20), (20, 1), (3, 3)):
        mask = rng.random(shape) < share
        assert np.array_equal(open_mask(mask, times), ndimage.binary_opening(mask, iterations=times))
