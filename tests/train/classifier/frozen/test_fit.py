from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from erythron.train.classifier.frozen.fit import DefaultTrainingConfig, train_default
from PIL import Image

from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.classify.selftest import verify_bundle
from erythron.errors import DataError, UsageError


def draw(path: Path, radius: float, shade: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:137, :137]
    distance = np.hypot(xx - 68 + rng.normal(), yy - 68 + rng.normal())
    image = np.full((137, 137, 3), (238, 230, 215), float)
    image[distance < radius * 1.4] = (175, 165, 205)
    image[distance < radius] = (shade, shade // 2, shade + 50)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)).save(path)


def draw_sets(folder: Path) -> Path:
    marrow = {"proerythroblast": 30, "basophilic": 25, "polychromatic": 19, "orthochromatic": 14, "band": 22}
    for k, (label, radius) in enumerate(marrow.items()):
        for i in range(4):
            place = folder / "pathology-bites-cells" / "cells" / f"{label}_{i:03d}.png"
            draw(place, radius, 80 + 15 * k, 10 * k + i)
    (folder / "pathology-bites-cells" / "overlap_groups.json").write_text("[]")
    for k, (label, radius) in enumerate({"erythroblast": 15, "monocyte": 28}.items()):
        for i in range(4):
            draw(folder / "pbc-acevedo" / label / f"{i}.jpg", radius, 90 + 40 * k, 100 + 10 * k + i)
    return folder


def test_training_writes_a_bundle_that_verifies_and_calls_that_score(tmp_path: Path) -> None:
    data = draw_sets(tmp_path / "data")
    config = DefaultTrainingConfig(data, tmp_path / "bundle", DEFAULT_BUNDLE, folds=2, threads=1)
    result = train_default(config)
    assert result.bundle == config.out
    bundle = load_bundle(config.out)
    assert verify_bundle(bundle) <= bundle.card.self_test.tolerance
    assert bundle.card.export_difference < 1e-3
    network = bundle.classifier_path.read_bytes()
    assert b"stack_trace" not in network
    assert b"default_model.py" not in network
    calls = pl.read_csv(result.results / "cv_calls.csv")
    assert calls.height == 20
    probabilities = calls.select(pl.col(r"^prob_.*$")).to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    summary = json.loads((result.results / "results.json").read_text())
    assert np.sum(summary["confusion"]) == 20
    assert set(result.unseen_auc) == {"pathology-bites-cells", "pbc-acevedo"}
    assert all(0 <= value <= 1 for value in result.unseen_auc.values())
    card = (config.out / "card.md").read_text()
    assert "proerythroblasts" in card
    assert f"pbc-acevedo {result.unseen_auc['pbc-acevedo']:.3f}" in card

    again = DefaultTrainingConfig(
        data, tmp_path / "again", DEFAULT_BUNDLE, folds=2, threads=1, cross_validate_only=True
    )
    repeated = train_default(again)
    assert repeated.bundle is None
    assert not again.out.exists()
    assert repeated.figures == result.figures
    with pytest.raises(UsageError, match="is not empty"):
        train_default(config)


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pathology-bites-cells"):
        train_default(DefaultTrainingConfig(tmp_path, tmp_path / "out"))
