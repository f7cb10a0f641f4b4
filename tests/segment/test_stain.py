import numpy as np
import pytest
from skimage.filters import threshold_multiotsu

from erythron.segment.stain import estimate_background, nuclear_channel, otsu, otsu_three


@pytest.fixture
def three_heaps():
    rng = np.random.default_rng(0)
    heaps = [rng.normal(m, 0.03, 4000) for m in (0.1, 0.4, 0.8)]
    return np.concatenate(heaps).astype(np.float32)


def test_otsu_three_agrees_with_scikit_image(three_heaps):
    assert otsu_three(three_heaps) == pytest.approx(tuple(threshold_multiotsu(three_heaps)), abs=0.08)


def test_otsu_lies_between_two_heaps(three_heaps):
    assert 0.15 < otsu(three_heaps[:8000]) < 0.35


def test_background_ignores_most_of_a_crowded_field():
    rgb = np.full((60, 60, 3), (150, 90, 160), np.uint8)
    rgb[:10] = (240, 230, 210)
    assert estimate_background(rgb).tolist() == [240, 230, 210]


def test_nuclear_channel_orders_tissue():
    light = np.array(
        [[[0.3, 0.15, 0.6], [0.6, 0.55, 0.8], [0.85, 0.6, 0.55], [1, 1, 1], [0, 0, 0]]], np.float32
    )
    nucleus, cytoplasm, red, empty, black = nuclear_channel(light)[0]
    assert nucleus > cytoplasm > red
    assert cytoplasm > empty == black == 0
