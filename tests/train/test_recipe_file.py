from __future__ import annotations

from pathlib import Path

import pytest

from erythron.errors import UsageError
from erythron.train.classifier.networks.settings import Fusion
from erythron.train.recipe import FineTunedRecipe, FrozenRecipe
from erythron.train.recipe_file import (
    FOLDER,
    add_set,
    load_fine_tuned,
    load_recipe,
    name_changed,
    parse_settings,
    replace_sets,
    vary_recipe,
)


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.toml")))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    assert load_recipe(name).name == name


def test_a_file_that_breaks_the_schema_names_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("kind = 'fine_tuned'\n[fit]\nepochs = 0\n[network]\nfusion = 'magic'\n")
    with pytest.raises(UsageError, match=r"network.fusion.*fit.epochs"):
        load_recipe(str(file))
    file.write_text("kind = 'frozen_encoder'\n[[sets]]\ndata = 'x'\nwieght = 2\n")
    with pytest.raises(UsageError, match=r"sets\.0\.wieght"):
        load_recipe(str(file))
    file.write_text("[fit]\nepochs = 3\n")
    with pytest.raises(UsageError, match="says no kind; add kind = 'fine_tuned'"):
        load_recipe(str(file))
    file.write_text("kind = 'magic'\n")
    with pytest.raises(UsageError, match="fine_tuned"):
        load_recipe(str(file))
    file.write_text("[fit\n")
    with pytest.raises(UsageError, match="no TOML"):
        load_recipe(str(file))
    with pytest.raises(UsageError, match="default, fine-tuned, paper"):
        load_recipe("nothing")
    with pytest.raises(UsageError, match="of kind frozen_encoder"):
        load_fine_tuned("default")


def test_paths_of_a_recipe_are_relative_to_its_file_and_names_stay(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "pbc-acevedo").mkdir()
    file = tmp_path / "mine.toml"
    sets = "".join(f"[[sets]]\ndata = '{d}'\n" for d in ("cells", "pbc-acevedo", "elsewhere"))
    file.write_text(f"kind = 'frozen_encoder'\n{sets}")
    assert [s.data for s in load_recipe(str(file)).sets] == [
        str(tmp_path / "cells"),
        "pbc-acevedo",
        "elsewhere",
    ]


def test_sets_are_replaced_and_added() -> None:
    recipe = load_recipe("default")
    replaced = replace_sets(recipe, "mine.parquet")
    assert isinstance(replaced, FrozenRecipe)
    assert [(s.data, s.judged) for s in replaced.sets] == [("mine.parquet", True)]
    added = add_set(recipe, "mine")
    assert [s.data for s in added.sets] == ["pathology-bites-cells", "pbc-acevedo", "mine"]
    assert add_set(FineTunedRecipe(), "mine").sets[0].data == "mine"


def test_settings_of_the_command_line() -> None:
    changes = parse_settings(["fit.epochs=3", "network.fusion=image", "augmentation.area=[0.5, 1.0]"])
    recipe = vary_recipe(FineTunedRecipe(), changes)
    assert (recipe.fit.epochs, recipe.network.fusion, recipe.augmentation.area) == (
        3,
        Fusion.IMAGE,
        (0.5, 1.0),
    )
    with pytest.raises(UsageError, match=r"fit\.epoch'"):
        vary_recipe(FineTunedRecipe(), {"fit.epoch": 3})
    with pytest.raises(UsageError, match="path=value"):
        parse_settings(["fit.epochs"])
    with pytest.raises(UsageError, match="multiple of accumulate"):
        vary_recipe(FineTunedRecipe(), {"fit.accumulate": 5})
    # The rate rose to the end of the training, for the final one of the recipe is above it.
    with pytest.raises(UsageError, match="rate 1e-06 is the highest and is below final_rate 1e-05"):
        vary_recipe(FineTunedRecipe(), {"optimiser.rate": 1e-6})
    constant = vary_recipe(FineTunedRecipe(), {"optimiser.rate": 1e-6, "optimiser.final_rate": 1e-6})
    assert constant.optimiser.rate == constant.optimiser.final_rate == 1e-6
    for area in ([0.9, 0.1], [0.1, 5.0]):
        with pytest.raises(UsageError, match="is not the least and the largest share"):
            vary_recipe(FineTunedRecipe(), {"augmentation.area": area})
    with pytest.raises(UsageError, match="'kind' is no setting"):
        vary_recipe(FineTunedRecipe(), {"kind": "frozen_encoder"})


def test_settings_of_one_set_are_changed_by_its_number() -> None:
    recipe = load_recipe("default")
    assert isinstance(recipe, FrozenRecipe)
    assert vary_recipe(recipe, {"sets.1.per_label": 7}).sets[1].per_label == 7
    for wrong in ("sets.2.per_label", "sets.x.per_label", "sets.1", "folds.x"):
        with pytest.raises(UsageError, match="is no setting"):
            vary_recipe(recipe, {wrong: 7})


def test_a_changed_recipe_does_not_pass_for_the_one_that_ships() -> None:
    shipped = load_recipe("default")
    assert name_changed(vary_recipe(shipped, {}), shipped) == shipped
    assert name_changed(vary_recipe(shipped, {"sets.1.weight": 0.2}), shipped).name == "default-changed"
    assert name_changed(vary_recipe(shipped, {"name": "mine", "seed": 1}), shipped).name == "mine"
