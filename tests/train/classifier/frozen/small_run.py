"""Drawn sets as the public ones are laid out, and a program that trains the smallest recipe on them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.program import run_program

from erythron.bundle.folder import load_bundle
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.classifier.frozen import from_review
from erythron.train.classifier.frozen.train import train_frozen
from erythron.train.recipe import FrozenRecipe, FrozenSet
from erythron.train.recipe_file import load_recipe
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


def add_mine(sets: Path) -> Path:
    """Write the small recipe as a file, with one line more: the set ``mine``."""
    recipe, file = make_small_frozen(), sets / "mine.toml"
    content = recipe.model_dump(mode="json", exclude_none=True, exclude={"sets", "inputs", "name"})
    lines = [f'kind = "{content["kind"]}"', "folds = 2", "[inputs]", "px = 96", "mpp = 0.25"]
    for entry in recipe.sets:
        settings = entry.model_dump(exclude_defaults=True)
        lines += ["[[sets]]", *(f"{k} = {json.dumps(v)}" for k, v in settings.items())]
    file.write_text("\n".join([*lines, "[[sets]]", 'data = "mine"', "samples = 1"]))
    return file


def make_review(folder: Path) -> Path:
    """Count two fields and call every cell, one of each field as no cell."""
    folder.mkdir()
    pictures = [folder / "f0.png", folder / "f1.png"]
    for seed, picture in enumerate(pictures):
        Image.fromarray(draw_field(DrawnFieldSpec(420, 360, seed=seed)).rgb).save(picture)
    out = folder / "run"
    count_images(find_images(pictures), out, RunOptions(mpp=0.25))
    tables = []
    for name in ("f0", "f1"):
        cells = read_cells(out / name)
        called = ["not_a_cell", *["lymphocyte", "orthochromatic_erythroblast"] * cells.height][: cells.height]
        table = cells.select("image", "cell_id", "x_px", "y_px").with_columns(label=pl.Series(called))
        table.write_csv(folder / f"{name}.csv")
        tables.append(folder / f"{name}.csv")
    recount(out, tables, Reading("A. Reader", datetime(2026, 5, 4, tzinfo=UTC), confirms_all=True))
    return out


def learn(place: Path) -> None:
    """Let the bundle learn from a review, export what it learned, and let that learn once more."""
    review = make_review(place / "review")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_review, "SAMPLES", 1)
        bundle = load_bundle(place / "bundle")
        _, found = from_review.train_from_review([review], bundle, place / "learned", 1)
        (place / "found.json").write_text(json.dumps(asdict(found)))
        learned = export(place / "learned", place / "learned-bundle")
        words = ("train", "--from-review", review, "--model", learned.path, "--threads", "1")
        said = run_program(*words, "--out", place / "learned-again")
        (place / "said.json").write_text(json.dumps(asdict(said)))


def prepare(folder: Path) -> list[str | Path]:
    """Return the program that trains by the small recipe.

    It leaves a ``run`` and its ``bundle``, the run ``again``, the run ``mine`` with a further set, and what
    the bundle ``learned`` from a ``review``.
    """
    return [sys.executable, "-m", "tests.train.classifier.frozen.small_run", folder]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    os.environ["ERYTHRON_DATA_DIR"] = str(draw_sets(place / "sets"))
    train_frozen(make_small_frozen(), place / "run", 1)
    evaluate(place / "run")
    export(place / "run", place / "bundle")
    train_frozen(make_small_frozen(), place / "again", 1)
    further = load_recipe(str(add_mine(place / "sets")))
    assert isinstance(further, FrozenRecipe)
    train_frozen(further, place / "mine", 1)
    learn(place)
