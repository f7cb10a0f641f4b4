"""Drawn sets as the public ones are laid out, and a folder of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.bundle.folder import Bundle
from erythron.train.classifier.frozen.train import train_frozen
from erythron.train.recipe import FrozenRecipe, FrozenSet
from erythron.train.shared.run_folder import RunRecord
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


@pytest.fixture(scope="session")
def drawn_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sets: two as the public ones lie there, and ``mine`` with red cells among erythroblasts."""
    folder = tmp_path_factory.mktemp("sets")
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


@pytest.fixture
def data_folder(drawn_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The drawn sets where registered ones are looked for."""
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(drawn_sets))
    return drawn_sets


@pytest.fixture(scope="session")
def small_frozen() -> FrozenRecipe:
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


@pytest.fixture(scope="session")
def trained(
    drawn_sets: Path, small_frozen: FrozenRecipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunRecord]:
    """The run of the small recipe on its two sets."""
    run = tmp_path_factory.mktemp("frozen") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "ERYTHRON_DATA_DIR", str(drawn_sets))
        return run, train_frozen(small_frozen, run, 1)


@pytest.fixture(scope="session")
def exported(trained: tuple[Path, RunRecord], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of that run."""
    evaluate(trained[0])
    return export(trained[0], tmp_path_factory.mktemp("exported") / "bundle")
