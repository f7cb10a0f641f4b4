"""Drawn sets as the public ones are laid out, and a program that trains the smallest recipe on them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from erythron.train.classifier.frozen.train import train_frozen
from erythron.train.recipe import FrozenRecipe, FrozenSet
from erythron.train.trainer import evaluate, export

MARROW = {"proerythroblast": 30, "basophilic": 25, "polychromatic": 19, "orthochromatic": 14, "band": 22}
BLOOD = {"erythroblast": 15, "monocyte": 28}


def draw(path: Path, radius: float, shade: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:137, :137]
    distance = np.hypot(xx - 68 + rng.normal(), yy - 68 + rng.normal())
    image = np.full((137, 137, 3), (238, 230, 215), float)
    # Red cells around, each image with its own: else all would show one piece of smear.
    for _ in range(12):
        x, y = rng.uniform(0, 137, 2)
        image[np.hypot(xx - x, yy - y) < rng.uniform(7, 10)] = rng.uniform((215, 150, 150), (235, 190, 185))
    image[distance < radius * 1.4] = (175, 165, 205)
    image[distance < radius] = (shade, shade // 2, shade + 50)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)).save(path)


def draw_sets(folder: Path) -> Path:
    """Draw two sets as the public ones lie there, and ``mine`` with red cells among erythroblasts."""
    for k, (label, radius) in enumerate(MARROW.items()):
        for i in range(4):
            place = folder / "pathology-bites-cells" / "cells" / f"{label}_{i:03d}.png"
            draw(place, radius, 80 + 15 * k, 10 * k + i)
    (folder / "pathology-bites-cells" / "overlap_groups.json").write_text("[]")
    for k, (label, radius) in enumerate(BLOOD.items()):
        for i in range(4):
            draw(folder / "pbc-acevedo" / label / f"{i}.jpg", radius, 90 + 40 * k, 100 + 10 * k + i)
    for i in range(4):
        draw(folder / "mine" / "EBO" / f"{i}.png", 17, 100, 200 + i)
        draw(folder / "mine" / "lymphocyte" / f"{i}.png", 16, 60, 220 + i)
    draw(folder / "mine" / "RBC" / "0.png", 20, 150, 240)
    return folder


def make_small_frozen() -> FrozenRecipe:
    """The shipped recipe with fewer folds and samples and the shipped segmentation network."""
    return FrozenRecipe(
        name="small",
        folds=2,
        inputs={"px": 96, "mpp": 0.25},
        sets=(
            FrozenSet(data="pathology-bites-cells", samples=2, judged=True),
            FrozenSet(data="pbc-acevedo", samples=1, weight=0.5, per_label=3),
        ),
    )


def prepare(folder: Path) -> list[str | Path]:
    """Return the program that leaves the ``run`` of the small recipe and its ``bundle``."""
    return [sys.executable, "-m", "tests.train.classifier.frozen.small_run", folder]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    os.environ["ERYTHRON_DATA_DIR"] = str(draw_sets(place / "sets"))
    train_frozen(make_small_frozen(), place / "run", 1)
    evaluate(place / "run")
    export(place / "run", place / "bundle")
