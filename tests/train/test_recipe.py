from __future__ import annotations

import pytest
from pydantic import ValidationError

from erythron.train.classifier.networks.settings import Fusion, MaskKind, NormLayer
from erythron.train.recipe import (
    AugmentationKind,
    FrozenRecipe,
    InputSettings,
    SegmenterSettings,
)
from erythron.train.recipe_file import load_fine_tuned, load_recipe


def test_the_paper_recipe_is_as_published() -> None:
    recipe = load_fine_tuned("paper")
    network, optimiser = recipe.network, recipe.optimiser
    assert (network.image_backbone, network.mask_backbone) == ("swin_base_patch4_window7_224", "vgg19_bn")
    assert (network.fusion, network.mask_kind, network.norm) == (
        Fusion.LOGITS_GATE,
        MaskKind.HULL,
        NormLayer.BATCH,
    )
    assert (network.attention_hidden, network.head_hidden, network.dropout) == (256, (512, 256), 0.4)
    assert (optimiser.kind, optimiser.momentum, optimiser.rate, optimiser.final_rate) == (
        "sgd",
        0.9,
        1e-3,
        1e-4,
    )
    assert (optimiser.weight_decay, optimiser.warmup_epochs) == (2e-5, 3)
    assert (recipe.fit.batch_size, recipe.fit.epochs, recipe.inputs.px) == (40, 300, 224)
    assert recipe.augmentation.kind is AugmentationKind.PUBLISHED
    assert (recipe.augmentation.area, recipe.augmentation.jitter) == ((0.08, 1.0), 0.4)


def test_the_default_recipe_is_that_of_the_shipped_model() -> None:
    recipe = load_recipe("default")
    assert isinstance(recipe, FrozenRecipe)
    marrow, blood = recipe.sets
    assert (marrow.data, marrow.judged, marrow.weight, marrow.samples, marrow.per_label) == (
        "pathology-bites-cells",
        True,
        1.0,
        12,
        None,
    )
    assert (blood.data, blood.judged, blood.weight, blood.samples, blood.per_label) == (
        "pbc-acevedo",
        False,
        0.5,
        3,
        120,
    )
    assert (recipe.folds, recipe.seed, recipe.risk, recipe.head.l2, recipe.segmenter.fit) == (
        5,
        0,
        0.05,
        1e-2,
        True,
    )
    assert (recipe.inputs.px, recipe.inputs.mpp) == (96, 0.25)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="not both"):
        SegmenterSettings(fit=True, bundle="mine")
    with pytest.raises(ValidationError, match="multiple of 16"):
        FrozenRecipe(inputs=InputSettings(px=100))
