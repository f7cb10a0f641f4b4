"""Drawn cells for the training tests, four stages that differ in size and shade, and the smallest recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.datasets.manifest import MANIFEST_SCHEMA, hash_split
from erythron.train.classifier.networks.settings import NetworkSettings, NormLayer, Pretraining
from erythron.train.recipe import FineTunedRecipe, FitSettings, InputSettings

STAGES = (
    "proerythroblast",
    "basophilic_erythroblast",
    "polychromatic_erythroblast",
    "orthochromatic_erythroblast",
)


def draw_manifest(folder: Path, per_class: int = 12, masks: bool = True) -> pl.DataFrame:
    """Draw cells with their masks and return their manifest, two thirds of it for training."""
    rows = []
    for k, label in enumerate(STAGES):
        for i in range(per_class):
            image, mask = draw_cell(radius=22 - 4 * k, shade=60 + 30 * k, seed=100 * k + i)
            path, mask_path = folder / f"{label}_{i:02d}.png", folder / "masks" / f"{label}_{i:02d}.png"
            mask_path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            Image.fromarray(mask).save(mask_path)
            split = {0: "test", 1: "validation"}.get(i % 6, "train")
            rows.append(
                {
                    "path": str(path),
                    "label": label,
                    "class": label,
                    "source_label": label,
                    "group": f"{k}-{i}",
                    "source": "drawn",
                    "split": split,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "mpp": None,
                    "mask_path": str(mask_path) if masks else None,
                    "mask_kind": "nucleus_255_cell_128" if masks else None,
                }
            )
    table = pl.DataFrame(rows, infer_schema_length=None)
    absent = [pl.lit(None).alias(name) for name in MANIFEST_SCHEMA if name not in table.columns]
    table = table.with_columns(absent).select(*MANIFEST_SCHEMA).cast(pl.Schema(MANIFEST_SCHEMA))
    return table.with_columns(pl.lit(hash_split(table)).alias("split_hash"))


def draw_cell(radius: float, shade: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a round cell on pale ground, (80, 80, 3) uint8, and its mask."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:80, :80]
    distance = np.hypot(xx - 40 + rng.normal(), yy - 40 + rng.normal())
    image = np.full((80, 80, 3), (238, 230, 215), float)
    image[distance < radius * 1.4] = (175, 165, 205)
    image[distance < radius] = (shade, shade // 2, shade + 50)
    mask = np.where(distance < radius, 255, np.where(distance < radius * 1.4, 128, 0)).astype(np.uint8)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session")
def drawn_rows(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Manifest of 48 drawn cells with their masks, split."""
    return draw_manifest(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def cell_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for prepared cells that every test shares."""
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="session")
def tiny() -> FineTunedRecipe:
    return make_tiny()


def make_tiny() -> FineTunedRecipe:
    """The smallest recipe that trains both branches."""
    return FineTunedRecipe(
        name="tiny",
        network=NetworkSettings(
            image_backbone="test_efficientnet",
            mask_backbone="test_efficientnet",
            pretraining=Pretraining.NONE,
            norm=NormLayer.GROUP,
        ),
        inputs=InputSettings(px=64, mpp=0.45),
        fit=FitSettings(epochs=2, batch_size=8, checkpoint_steps=0),
    )
