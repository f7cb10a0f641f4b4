"""Colour of the empty smear, and pixels relative to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import BACKGROUND_LEVEL, balance_light, estimate_background


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_the_empty_smear_is_the_median_of_the_brightest_twentieth(seed: int, height: int, width: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = rgb.reshape(-1, 3)
    brightness = np.sort(pixels.sum(axis=1, dtype=int))
    level = brightness[int(np.ceil(0.95 * (len(brightness) - 1)))]
    expected = np.median(pixels[pixels.sum(axis=1, dtype=int) >= level], axis=0)
    found = estimate_background(rgb)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.maximum(expected, 1))


def test_glass_is_found_beside_cells_in_small_and_large_images() -> None:
    for side in (60, 2000):  # the large one is sampled
        rgb = np.full((side, side, 3), (90, 50, 130), np.uint8)
        rgb[: side // 5] = (240, 226, 210)
        np.testing.assert_array_equal(estimate_background(rgb), (240, 226, 210))


def test_a_black_image_has_no_light_of_zero() -> None:
    background = estimate_background(np.zeros((4, 5, 3), np.uint8))
    np.testing.assert_array_equal(background, (1, 1, 1))
    assert not balance_light(np.zeros((4, 5, 3), np.uint8), background).any()


def test_balancing_takes_the_tint_out() -> None:
    tint = np.array([250, 220, 180], np.float32)
    clear = np.full((4, 4, 3), 128, np.uint8)
    tinted = (clear * tint / 255).round().astype(np.uint8)
    assert np.abs(balance_light(tinted, tint).astype(int) - 128).max() <= 1


def test_every_level_is_its_share_of_the_empty_smear_and_brighter_is_clipped() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = np.stack([levels] * 3, axis=-1)
    background = np.array([255, 200, 120], np.float32)
    expected = np.minimum(np.round(rgb * (BACKGROUND_LEVEL / background)), 255)
    np.testing.assert_array_equal(balance_light(rgb, background), expected)


def test_an_image_works_its_light_out_once() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = SmearImage("a.png", rgb, None, ScaleSource.UNKNOWN)
    np.testing.assert_array_equal(image.background, estimate_background(rgb))
    np.testing.assert_array_equal(image.light, balance_light(rgb, image.background))
    assert image.light is image.light
    assert image.background is image.background


@pytest.mark.real_data
def test_the_empty_smear_of_a_real_field_becomes_white(data_dir: Path) -> None:
    with Image.open(data_dir / "marrow-field" / "marrow-field-left.png") as picture:
        rgb = np.asarray(picture.convert("RGB"))
    light = balance_light(rgb, estimate_background(rgb))
    np.testing.assert_allclose(estimate_background(light), 255, atol=2)
