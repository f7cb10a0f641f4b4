from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.ahead import Ended
from tests.commands import chain, read_said
from tests.program import Done
from typer.testing import CliRunner

from erythron.bundle.folder import load_bundle
from erythron.cli import app
from erythron.datasets.manifest import MANIFEST_SCHEMA, hash_split, write_manifest
from erythron.files.hashing import hash_file

TINY = (
    "network.image_backbone=test_efficientnet",
    "network.fusion=image",
    "network.pretraining=none",
    "inputs.px=64",
    "inputs.mpp=0.45",
    "fit.epochs=1",
    "fit.batch_size=4",
)
SETTINGS = [word for setting in TINY for word in ("--set", setting)]


def write_cells(folder: Path) -> Path:
    """A split manifest of drawn cells of two stages."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:80, :80]
    rows = []
    for i in range(12):
        radius = 12 + 8 * (i % 2)
        image = np.full((80, 80, 3), (238, 230, 215), float) + rng.normal(0, 3, (80, 80, 3))
        distance = np.hypot(yy - 40, xx - 40)
        image[distance < radius] = (90, 50, 130)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        mask = np.where(distance < radius, 255, np.where(distance < radius + 6, 128, 0)).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"{i}-mask.png")
        name = ("orthochromatic_erythroblast", "proerythroblast")[i % 2]
        rows.append(
            dict.fromkeys(MANIFEST_SCHEMA)
            | {"path": str(folder / f"{i}.png"), "label": name, "class": name, "source_label": name}
            | {"group": str(i), "source": "drawn", "split": ("train", "train", "test")[i // 2 % 3]}
            | {"sha256": hash_file(folder / f"{i}.png"), "mask_path": str(folder / f"{i}-mask.png")}
            | {"mask_kind": "nucleus_255_cell_128"}
        )
    table = pl.DataFrame(rows, schema=MANIFEST_SCHEMA)
    manifest = folder / "cells.parquet"
    write_manifest(table.with_columns(pl.lit(hash_split(table)).alias("split_hash")), manifest)
    return manifest


def list_fine_tuned(folder: Path) -> list[list[str | Path]]:
    """Return the commands that train, evaluate, compare and export a fine-tuned network."""
    folder.mkdir()
    run = folder / "run"
    words = ["train", "--recipe", "fine-tuned", "--data", write_cells(folder), "--out", run]
    return [
        [*words, "--threads", "1", "--json", *SETTINGS],
        ["evaluate", run, "--json"],
        ["evaluate", run, "--against", run],
        ["export", run, "--out", folder / "bundle"],
    ]


def list_default(folder: Path) -> list[list[str | Path]]:
    """Return the commands that train by the default recipe on two sets, and use what comes of it."""
    folder.mkdir()
    manifest, run, bundle, more = write_cells(folder), folder / "run", folder / "bundle", folder / "more"
    (more / "EBO").mkdir(parents=True)
    (more / "band").mkdir()
    for i in range(4):
        image = np.asarray(Image.open(folder / f"{i}.png"))
        Image.fromarray(255 - (255 - image) // 4 * 3).save(more / ("EBO", "band")[i % 2] / f"{i}.png")
    settings = ("folds=2", "segmenter.fit=false", "sets.0.samples=0", "sets.1.samples=0")
    words = ["train", "--data", manifest, "--add-set", more, "--out", run, "--threads", "1"]
    words += [word for setting in settings for word in ("--set", setting)]
    return [
        words,
        ["evaluate", run],
        [*words, "--bundle", bundle],  # as given again where it was cut off after the training
        ["classify", more, "--model", bundle, "--out", folder / "calls.csv"],
    ]


def prepare(folder: Path) -> list[str | Path]:
    """Return one program for both, as torch takes seconds to load."""
    commands = list_fine_tuned(folder / "fine-tuned") + list_default(folder / "default")
    return chain(folder, *commands)


def read_four(ahead: Ended, first: int) -> list[Done]:
    """Return how four commands ended."""
    assert ahead.returncode == 0, ahead.stderr
    said = read_said(ahead.folder)
    four = said[first : first + 4]
    assert [done.returncode for done in four] == [0] * 4, said[-1].stderr
    return four


@pytest.mark.ahead(start=prepare)
def test_train_evaluate_export_from_the_command_line(ahead: Ended) -> None:
    trained, evaluated, compared, _ = read_four(ahead, 0)
    folder = ahead.folder / "fine-tuned"
    assert json.loads(trained.stdout)["epochs"] == 1
    assert list((folder / ".erythron-cells").iterdir())
    assert json.loads(evaluated.stdout)["scores"]["cells"] == 4
    assert "McNemar p 1.000 (0 : 0)" in compared.stdout
    assert "evaluated before" in compared.stdout
    names = [c.name for c in load_bundle(folder / "bundle").classes]
    assert names == ["proerythroblast", "orthochromatic_erythroblast"]


def test_experiment_prints_its_table_and_resumes(tmp_path: Path) -> None:
    manifest = write_cells(tmp_path)
    words = ["experiment", "ablation", "--data", str(manifest), "--out", str(tmp_path / "out"), *SETTINGS]
    words += ["--seeds", "1", "--folds", "2", "--arm", "image only", "--threads", "1"]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    assert "| image only | " in first.stdout
    assert "36 runs are missing" in first.stdout
    again = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(again.stdout)["cells"]["missing"] == 36


def test_the_paper_s_experiment_from_an_archive_to_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published parts, the judged one called by the last epoch and by that which was best on it."""
    monkeypatch.setenv("ERYTHRON_CACHE_DIR", str(tmp_path / "cache"))
    write_cells(tmp_path)
    rng = np.random.default_rng(1)
    yy, xx = np.mgrid[:80, :80]
    for i in range(12):
        # Red cells around, each image with its own: else all would show one piece of smear.
        image = np.asarray(Image.open(tmp_path / f"{i}.png")).copy()
        for angle in rng.uniform(0, 2 * np.pi, 6):
            distance = np.hypot(yy - 40 - 34 * np.sin(angle), xx - 40 - 34 * np.cos(angle))
            image[distance < rng.uniform(4, 8)] = rng.integers(120, 215, 3)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for i in range(12):
            part, name = ("train", "train", "val")[i // 2 % 3], ("late", "rubriblast")[i % 2]
            archive.write(tmp_path / f"{i}.png", f"mine/{part}/images/{name}/{i}.png")
            archive.write(tmp_path / f"{i}-mask.png", f"mine/{part}/masks/{name}/{i}.png")
    words = ["experiment", "paper", "--data", str(tmp_path / "mine.zip"), "--split", "published"]
    words += ["--out", str(tmp_path / "out"), "--seeds", "1", "--threads", "1", *SETTINGS]
    small = ("network.mask_backbone=test_efficientnet", "network.fusion=logits_gate")
    words += [word for setting in small for word in ("--set", setting)]
    done = CliRunner().invoke(app, [*words, "--arm", "published network"])
    assert done.exit_code == 0, done.output
    assert "| arm | accuracy, last epoch | accuracy, best epoch (as published) |" in done.stdout
    out = tmp_path / "out" / "mine"
    row = pl.read_csv(out / "table.csv").filter(pl.col("arm") == "published network")
    for name in ("accuracy", "best_epoch"):
        assert 0 <= row[name].item() <= 1
    calls = pl.read_csv(out / "runs" / "published-network" / "seed0-fold0.csv")
    assert sorted(Path(p).name for p in calls["path"]) == ["10.png", "11.png", "4.png", "5.png"]
    assert (out / "runs" / "published-network" / "seed0-fold0.best.csv").exists()
    assert pl.read_csv(out / "curves.csv").select("arm", "epoch").rows() == [("published network", 1)]
    assert (out / "curves.png").stat().st_size > 5000


def test_wrong_usage_of_the_training_commands(tmp_path: Path) -> None:
    manifest = write_cells(tmp_path)
    runner = CliRunner()
    run = str(tmp_path / "run")
    assert runner.invoke(app, ["train", "--data", str(manifest)]).exit_code == 2
    twice = runner.invoke(app, ["train", "small", "--recipe", "paper", "--data", str(manifest), "--out", run])
    assert twice.exit_code == 2
    assert "name the recipe once" in twice.output
    unknown = runner.invoke(app, ["train", "magic", "--data", str(manifest), "--out", run])
    assert "no recipe" in str(unknown.exception)
    without = runner.invoke(app, ["train", "small", "--out", run])
    assert "names no sets" in str(without.exception)
    frozen = runner.invoke(app, ["train", "--data", str(manifest), "--out", run, "--precision", "bf16-mixed"])
    assert "--threads alone" in str(frozen.exception)
    nowhere = runner.invoke(app, ["experiment", "ablation", "--data", "moon", "--out", str(tmp_path / "x")])
    assert "no manifest" in str(nowhere.exception)


@pytest.mark.ahead(start=prepare)
def test_the_default_recipe_on_a_set_of_one_s_own_and_another_added(ahead: Ended) -> None:
    """``erythron train`` alone is the shipped recipe; both kinds go on to evaluate and export alike."""
    trained, evaluated, bundled, _ = read_four(ahead, 4)
    folder = ahead.folder / "default"
    assert f"erythron evaluate {folder / 'run'}" in trained.stdout
    assert "temperature" in evaluated.stdout
    assert "more: erythroid or not, AUC" in evaluated.stdout
    assert f"Bundle: {folder / 'bundle'}" in bundled.stdout
    assert {d.name for d in load_bundle(folder / "bundle").card.data} == {"drawn", "more"}
    assert pl.read_csv(folder / "calls.csv").height == 4
