import numpy as np
import pytest

from erythron.read.light import balance_light, estimate_background
from erythron.segment.stain import nuclear_channel, otsu


@pytest.fixture
def three_heaps():
    rng = np.random.default_rng(0)
    heaps = [rng.normal(m, 0.03, 4000) for m in (0.1, 0.4, 0.8)]
    return np.concatenate(heaps).astype(np.float32)


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


def test_balanced_light_takes_the_tint_of_the_glass_out():
    rgb = np.array([[[120, 115, 105], [240, 230, 210], [255, 255, 255]]], np.uint8)
    light = balance_light(rgb, np.array([240, 230, 210], np.float32))
    assert light.tolist() == [[[128, 128, 128], [255, 255, 255], [255, 255, 255]]]


def test_the_background_is_the_median_of_the_brightest_twentieth() -> None:
    rng = np.random.default_rng(0)
    for highest in (2, 40, 256):
        rgb = rng.integers(0, highest, (37, 53, 3), dtype=np.uint8)
        brightness = rgb.sum(axis=2, dtype=np.int64)
        bright = rgb[brightness >= np.percentile(brightness, 95)]
        background = estimate_background(rgb)
        assert np.array_equal(background, np.maximum(np.median(bright, axis=0), 1).astype(np.float32))
        expected = np.minimum(rgb * (255 / background), 255).round().astype(np.uint8)
        assert np.array_equal(balance_light(rgb, background), expected)
