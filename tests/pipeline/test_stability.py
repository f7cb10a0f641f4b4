"""Calls must not depend on how a cell lies, how large the pixels are, or which scanner took the picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.pipeline.field import Networks, classify_crop, load_networks
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import estimate_background

pytestmark = pytest.mark.real_data

WIDTH_UM = 32.0
CROPS = 60

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(load_bundle())


@pytest.fixture(scope="module")
def crops(data_dir: Path) -> list[Pixels]:
    paths = sorted((data_dir / "pathology-bites-cells").rglob("*.png"))
    chosen = np.random.default_rng(0).choice(len(paths), CROPS, replace=False)
    return [read_image(paths[i]).rgb for i in chosen]


@pytest.fixture(scope="module")
def calls(networks: Networks, crops: list[Pixels]) -> list[str]:
    return [call(networks, crop, WIDTH_UM / min(crop.shape[:2])) for crop in crops]


def call(networks: Networks, rgb: Pixels, mpp: float) -> str:
    table = classify_crop(SmearImage("crop", rgb, mpp, ScaleSource.OPTION), networks)
    return "none" if table.is_empty() else str(table["label"][0])


def share_changed(
    networks: Networks,
    crops: list[Pixels],
    calls: list[str],
    change: Callable[[Pixels], tuple[Pixels, float]],
) -> float:
    changed = 0
    for crop, before in zip(crops, calls, strict=True):
        rgb, factor = change(crop)
        changed += call(networks, rgb, WIDTH_UM / min(crop.shape[:2]) / factor) != before
    return changed / len(crops)


def test_turning_changes_few_calls(networks, crops, calls):
    def turn(rgb: Pixels, angle: float) -> tuple[Pixels, float]:
        paper = tuple(int(v) for v in estimate_background(rgb))
        return np.asarray(Image.fromarray(rgb).rotate(angle, Image.Resampling.BICUBIC, fillcolor=paper)), 1.0

    # Over all angles together: with sixty crops one call more or less at one angle is chance.
    angles = (37, 90, 161)
    shares = [share_changed(networks, crops, calls, partial(turn, angle=angle)) for angle in angles]
    assert np.mean(shares) <= 0.02


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_other_pixels_with_their_scale_change_few_calls(networks, crops, calls, factor):
    def rescale(rgb: Pixels) -> tuple[Pixels, float]:
        size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)), factor

    assert share_changed(networks, crops, calls, rescale) <= 0.05


@pytest.mark.parametrize(
    ("hue", "light", "contrast"), [(0.02, 1.0, 1.0), (-0.02, 0.9, 1.0), (0.0, 1.08, 0.88)]
)
def test_another_scanner_changes_few_calls(networks, crops, calls, hue, light, contrast):
    def shift(rgb: Pixels) -> tuple[Pixels, float]:
        hsv = np.asarray(Image.fromarray(rgb).convert("HSV")).astype(np.int16)
        hsv[..., 0] = (hsv[..., 0] + round(hue * 255)) % 256
        turned = np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")).astype(np.float32)
        return (((turned - 255) * contrast + 255) * light).clip(0, 255).astype(np.uint8), 1.0

    assert share_changed(networks, crops, calls, shift) <= 0.08
