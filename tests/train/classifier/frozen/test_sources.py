from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.ahead import Ended

from erythron.bundle.folder import load_bundle
from erythron.datasets.manifest import hash_rows
from erythron.errors import DataError
from erythron.train.classifier.frozen.partial_labels import open_labels
from erythron.train.classifier.frozen.sources import Source, fold_set, join_examples
from erythron.train.recipe import FrozenRecipe, FrozenSet
from erythron.train.recipe_file import load_recipe
from erythron.train.shared.sets import open_sets


def make_source(labels: list[str], folds: list[int]) -> Source:
    count = len(labels)
    features = tuple(np.full((count, 3), float(i), np.float32) for i in range(2))
    rows = pl.DataFrame({"label": labels})
    return Source(
        name="s",
        rows=rows,
        is_judged=True,
        folds=np.array(folds),
        weights=np.full(count, 0.5),
        allowed=open_labels(labels),
        samples=features,
    )


def test_examples_leave_out_a_fold_and_share_the_weight_among_samples() -> None:
    source = make_source(["band", "EBO", "platelet"], [0, 1, 0])
    examples = join_examples([source, source], 0)
    assert examples.features.shape == (4, 3)
    assert examples.allowed.sum(axis=1).tolist() == [4] * 4
    assert examples.weights.tolist() == [0.25] * 4
    assert len(join_examples([source], None).weights) == 6


def test_a_label_that_does_not_say_is_neither_erythroid_nor_not() -> None:
    found = make_source(["EBO", "band", "white_cell"], [0, 0, 1]).erythroid
    assert found[:2].tolist() == [1, 0]
    assert np.isnan(found[2])


def test_folds_keep_groups_whole_and_a_number_of_each_label_is_drawn(
    data_folder: Path, small_frozen: FrozenRecipe
) -> None:
    marrow, blood = (fold_set(part, small_frozen) for part in open_sets(small_frozen.sets))
    assert marrow.rows.height == len(marrow.folds) == 20
    assert blood.rows["label"].value_counts(sort=True)["count"].to_list() == [3, 3]
    group_folds = marrow.rows.with_columns(fold=marrow.folds).group_by("group").agg(pl.col("fold").n_unique())
    assert group_folds["fold"].max() == 1
    again = fold_set(open_sets(small_frozen.sets)[1], small_frozen)
    assert again.rows.equals(blood.rows)


def test_a_set_with_fewer_groups_than_folds_or_nothing_to_learn_is_named(
    data_folder: Path, small_frozen: FrozenRecipe, tmp_path: Path
) -> None:
    entry = FrozenSet(data=str(data_folder / "mine"))
    many = small_frozen.model_copy(update={"folds": 20})
    with pytest.raises(DataError, match="mine: 20 folds of 9 groups"):
        fold_set(open_sets([entry])[0], many)
    red = FrozenSet(data=str(data_folder / "mine"), class_map={"EBO": "RBC", "lymphocyte": "artefact"})
    with pytest.raises(DataError, match="no cell that the head can learn from"):
        fold_set(open_sets([red])[0], small_frozen)


def draw_shipped() -> dict[str, object]:
    """Return the hash of the judged cells of the shipped recipe, and how many of each label of blood it has.

    Likeness is measured over a whole set, half a minute for that of blood; every third image of it shows as
    well what is drawn.
    """
    recipe = load_recipe("default")
    assert isinstance(recipe, FrozenRecipe)
    marrow, all_blood = open_sets(recipe.sets)
    some = all_blood.whole.gather_every(3)
    kept = all_blood.rows.filter(pl.col("sha256").is_in(some["sha256"].implode()))
    blood = fold_set(replace(all_blood, whole=some, rows=kept), recipe)
    return {
        "marrow": hash_rows(fold_set(marrow, recipe).rows),
        "blood": blood.rows["label"].value_counts()["count"].to_list(),
    }


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.train.classifier.frozen.test_sources", folder]


@pytest.mark.real_data
@pytest.mark.ahead(start=prepare)
def test_the_shipped_recipe_draws_the_cells_that_the_shipped_bundle_names(
    data_dir: Path, ahead: Ended
) -> None:
    """Content, class and cross-validation group of every judged cell, and 120 of each label of blood."""
    assert ahead.returncode == 0, ahead.stderr
    drawn = json.loads(ahead.stdout)
    assert drawn == {"marrow": load_bundle().card.data[0].rows_hash, "blood": [120] * 8}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(draw_shipped()))
