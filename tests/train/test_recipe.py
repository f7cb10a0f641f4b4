from __future__ import annotations

from pathlib import Path

import pytest

from erythron.errors import UsageError
from erythron.train.classifier.networks.settings import Fusion, MaskKind, NormLayer
from erythron.train.recipe import AugmentationKind, FineTunedRecipe
from erythron.train.recipe_file import FOLDER, load_recipe, parse_settings, vary_recipe


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.toml")))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_paper_recipe_is_as_published() -> None:
    recipe = load_recipe("paper")
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


def test_a_file_that_breaks_the_schema_names_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[fit]\nepochs = 0\n[network]\nfusion = 'magic'\n")
    with pytest.raises(UsageError, match=r"network.fusion.*fit.epochs"):
        load_recipe(str(file))
    file.write_text("[fit\n")
    with pytest.raises(UsageError, match="no TOML"):
        load_recipe(str(file))
    with pytest.raises(UsageError, match="default, paper"):
        load_recipe("nothing")


def test_settings_of_the_command_line() -> None:
    changes = parse_settings(["fit.epochs=3", "network.fusion=image", "augmentation.area=[0.5, 1.0]"])
    recipe = vary_recipe(Recipe(), changes)
    assert (recipe.fit.epochs, recipe.network.fusion, recipe.augmentation.area) == (
        3,
        Fusion.IMAGE,
        (0.5, 1.0),
    )
    with pytest.raises(UsageError, match=r"fit\.epoch'"):
        vary_recipe(Recipe(), {"fit.epoch": 3})
    with pytest.raises(UsageError, match="path=value"):
        parse_settings(["fit.epochs"])
    with pytest.raises(UsageError, match="multiple of accumulate"):
        vary_recipe(Recipe(), {"fit.accumulate": 5})


def test_the_digest_tells_recipes_apart() -> None:
    assert Recipe().digest() == Recipe().digest() != Recipe(seed=1).digest()
