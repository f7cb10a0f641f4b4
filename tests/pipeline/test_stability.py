"""Calls must not depend on how a cell lies, how large the pixels are, or which scanner took the picture."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.ahead import Ahead

from erythron.bundle.folder import load_bundle
from erythron.pipeline.crop import classify_crop
from erythron.pipeline.field import Networks, load_networks
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import estimate_background

WIDTH_UM = 32.0
CROPS = 60

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], tuple[Pixels, float]]


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.pipeline.test_stability", folder]


pytestmark = [pytest.mark.real_data, pytest.mark.ahead(start=prepare)]


def call(networks: Networks, rgb: Pixels, mpp: float) -> str:
    table = classify_crop(SmearImage("crop", rgb, mpp, ScaleSource.OPTION), networks)
    return "none" if table.is_empty() else str(table["label"][0])


def turn(rgb: Pixels, angle: float) -> tuple[Pixels, float]:
    paper = tuple(int(v) for v in estimate_background(rgb))
    return np.asarray(Image.fromarray(rgb).rotate(angle, Image.Resampling.BICUBIC, fillcolor=paper)), 1.0


def rescale(rgb: Pixels, factor: float) -> tuple[Pixels, float]:
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)), factor


def scan(rgb: Pixels, hue: float, light: float, contrast: float) -> tuple[Pixels, float]:
    hsv = np.asarray(Image.fromarray(rgb).convert("HSV")).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + round(hue * 255)) % 256
    turned = np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")).astype(np.float32)
    return (((turned - 255) * contrast + 255) * light).clip(0, 255).astype(np.uint8), 1.0


TURNS = (37, 90, 161)
FACTORS = (0.7, 1.4)
SCANNERS = ((0.02, 1.0, 1.0), (-0.02, 0.9, 1.0), (0.0, 1.08, 0.88))


def list_changes() -> dict[str, Change]:
    """Return every change of a crop, which gives its pixels and how many times as many a micron has."""
    return {
        **{f"turn {angle}": partial(turn, angle=angle) for angle in TURNS},
        **{f"factor {factor}": partial(rescale, factor=factor) for factor in FACTORS},
        **{
            f"scanner {number}": partial(scan, hue=hue, light=light, contrast=contrast)
            for number, (hue, light, contrast) in enumerate(SCANNERS)
        },
    }


def find_shares(data: Path) -> dict[str, float]:
    """Return the share of real crops whose call each change alters."""
    networks = load_networks(load_bundle())
    paths = sorted((data / "pathology-bites-cells").rglob("*.png"))
    chosen = np.random.default_rng(0).choice(len(paths), CROPS, replace=False)
    crops = [read_image(paths[i]).rgb for i in chosen]
    widths = [WIDTH_UM / min(crop.shape[:2]) for crop in crops]
    calls = [call(networks, crop, mpp) for crop, mpp in zip(crops, widths, strict=True)]
    shares = {}
    for name, change in list_changes().items():
        altered = 0
        for crop, mpp, before in zip(crops, widths, calls, strict=True):
            rgb, factor = change(crop)
            altered += call(networks, rgb, mpp / factor) != before
        shares[name] = altered / len(crops)
    return shares


@pytest.fixture(scope="module")
def shares(data_dir: Path, programs: Ahead) -> dict[str, float]:
    ended = programs.wait(prepare)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def test_turning_changes_few_calls(shares: dict[str, float]) -> None:
    # Over all angles together: with sixty crops one call more or less at one angle is chance.
    assert np.mean([shares[f"turn {angle}"] for angle in TURNS]) <= 0.02


@pytest.mark.parametrize("factor", FACTORS)
def test_other_pixels_with_their_scale_change_few_calls(shares: dict[str, float], factor: float) -> None:
    assert shares[f"factor {factor}"] <= 0.05


@pytest.mark.parametrize("number", range(len(SCANNERS)))
def test_another_scanner_changes_few_calls(shares: dict[str, float], number: int) -> None:
    assert shares[f"scanner {number}"] <= 0.08


if __name__ == "__main__":
    sys.stdout.write(json.dumps(find_shares(Path(os.environ["ERYTHRON_DATA_DIR"]))))
