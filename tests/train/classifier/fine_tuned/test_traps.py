"""The defects of the published system, each with a test that fails if it comes back."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import erythron.train
from erythron.datasets.folds import assign_folds
from erythron.datasets.manifest import hash_split, verify_split
from erythron.errors import DataError
from erythron.shape.mask import convex_hull
from erythron.train.classifier.fine_tuned.augmentation import DRAWS, Batch, augment
from erythron.train.classifier.fine_tuned.evaluate import evaluate_fine_tuned
from erythron.train.classifier.fine_tuned.run import load_network, train_run
from erythron.train.classifier.networks.settings import NormLayer, Pretraining
from erythron.train.classifier.networks.two_branch import build_network
from erythron.train.recipe import AugmentationKind, AugmentationSettings, FineTunedRecipe
from erythron.train.recipe_file import load_fine_tuned, vary_recipe
from erythron.train.shared.backbones import PixelScaling
from erythron.train.shared.hardware import Hardware
from erythron.train.shared.run_folder import WEIGHTS_FILE
from erythron.train.shared.scores import score_calls

QUIET = Hardware(threads=1, loggers=())


def test_trap_1_modules_that_are_not_there() -> None:
    """Every module of the training folder imports, and the published network builds from stock timm."""
    names = [m.name for m in pkgutil.walk_packages(erythron.train.__path__, "erythron.train.")]
    for name in names:
        importlib.import_module(name)
    assert "erythron.train.classifier.networks.two_branch" in names
    paper = load_fine_tuned("paper").network
    with torch.device("meta"):
        network = build_network(paper.model_copy(update={"pretraining": Pretraining.NONE}), 4, 224)
    count = sum(p.numel() for p in network.parameters())
    assert 230e6 < count < 238e6


def test_trap_2_only_one_branch_is_saved(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    """The stored weights alone make the whole network again, with the same calls."""
    recipe = vary_recipe(
        tiny, {"fit.epochs": 1, "network.fusion": "logits_gate", "network.mask_kind": "hull"}
    )
    train_run(recipe, drawn_rows, tmp_path / "run", QUIET, cache=cell_cache)
    stored = torch.load(tmp_path / "run" / WEIGHTS_FILE, weights_only=True)
    parts = {name.split(".")[1] for name in stored}
    assert parts == {"image_branch", "mask_branch", "attention", "head"}
    network, record = load_network(tmp_path / "run")
    assert set(stored) == set(network.state_dict())
    assert record.scaling == PixelScaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_trap_3_the_best_epoch_on_the_judged_cells_is_the_result(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    """Training never reads the test part: other test images leave the same weights."""
    recipe = vary_recipe(tiny, {"fit.select": "best"})
    swapped = drawn_rows.filter(pl.col("split") != "test")
    train_run(recipe, drawn_rows, tmp_path / "with", QUIET, cache=cell_cache)
    train_run(recipe, swapped, tmp_path / "without", QUIET, cache=cell_cache)
    a, b = (torch.load(tmp_path / n / WEIGHTS_FILE, weights_only=True) for n in ("with", "without"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert evaluate_fine_tuned(tmp_path / "with").scores.cells == 8
    with pytest.raises(DataError, match="'test'"):
        evaluate_fine_tuned(tmp_path / "without")


def test_trap_4_cells_of_one_smear_on_both_sides(drawn_rows: pl.DataFrame) -> None:
    groups = [f"smear {i % 8}" for i in range(drawn_rows.height)]
    leaking = drawn_rows.with_columns(pl.Series("group", groups))
    leaking = leaking.with_columns(pl.lit(hash_split(leaking)).alias("split_hash"))
    with pytest.raises(DataError, match="the split leaks"):
        verify_split(leaking)
    folds = assign_folds(drawn_rows["label"].to_list(), groups, 4, 0)
    for group in set(groups):
        assert len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1


def make_disc_batch(count: int) -> Batch:
    yy, xx = np.mgrid[:80, :80]
    disc = torch.from_numpy((np.hypot(yy - 40, xx - 40) < 14).astype(np.uint8) * 255)
    planes = disc.expand(count, 3, 80, 80).contiguous()
    draws = torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(1))
    return Batch(255 - planes // 2, planes, torch.zeros(count, dtype=torch.long), draws, torch.arange(count))


def test_trap_5_crops_that_destroy_size_and_shape() -> None:
    """The default augmentation keeps a disc round and its area within a fifth; the published one does not."""

    def spread(kind: AugmentationKind) -> tuple[float, float]:
        _, masks = augment(make_disc_batch(200), AugmentationSettings(kind=kind, shift=0), 64)
        inside = masks[:, 0] > 0.5
        height, width = inside.any(2).sum(1).float(), inside.any(1).sum(1).float()
        area = inside.sum((1, 2)).float()
        return float((height / width).log().abs().max()), float(area.std() / area.mean())

    shape, size = spread(load_fine_tuned("fine-tuned").augmentation.kind)
    assert shape < 0.08
    assert size < 0.2
    shape, size = spread(AugmentationKind.PUBLISHED)
    assert shape > 0.2
    assert size > 0.4


def test_trap_6_colour_jitter_changes_the_mask() -> None:
    """A mask that is 255 stays 255 under the strongest colours of either augmentation."""
    for kind in (AugmentationKind.PUBLISHED, AugmentationKind.SIZE_PRESERVING):
        settings = AugmentationSettings(kind=kind, jitter=0.9, stain=0.9, tint=0.5, area=(0.5, 0.6), scale=0)
        _, masks = augment(make_disc_batch(32), settings, 64)
        assert masks[:, 0, 32, 32].min() > 0.999


def test_trap_7_a_hull_says_nothing_of_the_nucleus() -> None:
    """The default mask input tells nucleus from cytoplasm; hulls of unlike nuclei are the same."""
    small, large = torch.zeros(2, 3, 32, 32)
    for masks, radius in ((small, 4), (large, 8)):
        masks[1, 4:28, 4:28] = 1
        masks[2, 4:28, 4:28] = 1
        masks[0, 16 - radius : 16 + radius, 16 - radius : 16 + radius] = 1
    hull = load_fine_tuned("paper").network.mask_planes
    assert torch.equal(small[list(hull)], large[list(hull)])
    ours = load_fine_tuned("fine-tuned").network.mask_planes
    assert not torch.equal(small[list(ours)], large[list(ours)])
    horseshoe = np.ones((9, 9), bool)
    horseshoe[:6, 3:6] = False
    assert convex_hull(horseshoe).sum() > horseshoe.sum()


def test_trap_8_batch_statistics_under_a_changed_stain(tiny: FineTunedRecipe) -> None:
    """What the default network says of a cell does not depend on the cells beside it, in training neither."""
    settings = load_fine_tuned("fine-tuned").network
    assert settings.norm is not NormLayer.BATCH
    network = build_network(
        tiny.network.model_copy(update={"norm": settings.norm, "dropout": 0.0}), 4, 32
    ).train()
    pixels, masks = torch.randn(4, 3, 32, 32), torch.rand(4, 2, 32, 32)
    other = pixels.clone()
    other[1:] = other[1:] * 3 + 2
    with torch.no_grad():
        torch.testing.assert_close(network(pixels, masks)[0], network(other, masks)[0], rtol=1e-4, atol=1e-5)


def test_trap_9_differences_inside_the_noise() -> None:
    """81.12 % of 1,133 cells comes with 78.7-83.3 %, and every figure with its interval."""
    right = 919
    truth = np.zeros(1133, np.int64)
    probabilities = np.tile([0.9, 0.1], (1133, 1))
    probabilities[right:] = [0.1, 0.9]
    scores = score_calls(truth, probabilities, ("a", "b"), np.arange(1133).astype(str))
    accuracy = scores.figures["accuracy"]
    assert accuracy.value == pytest.approx(0.8111, abs=1e-3)
    assert accuracy.low == pytest.approx(0.787, abs=0.004)
    assert accuracy.high == pytest.approx(0.833, abs=0.004)
    for figure in scores.figures.values():
        assert figure.low <= figure.value <= figure.high
