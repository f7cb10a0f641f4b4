from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.classify.selftest import verify_bundle
from erythron.errors import DataError, UsageError
from erythron.pipeline.batch import RunOptions
from erythron.pipeline.classify import classify_images
from erythron.read.inputs import find_images
from erythron.train.classifier.fine_tuned.export import write_run_bundle
from erythron.train.classifier.fine_tuned.run import WEIGHTS_FILE, Hardware, train_run
from erythron.train.recipe import Recipe, vary_recipe
from erythron.train.shared.evaluation import FOLDER, RESULT, compare_runs, evaluate_run

QUIET = Hardware(threads=1, loggers=())


@pytest.fixture(scope="module")
def trained(
    tiny: Recipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    train_run(tiny, drawn_rows, run, QUIET, cache=cell_cache)
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    return copy


def test_the_test_part_is_called_once(run: Path, drawn_rows: pl.DataFrame) -> None:
    outlined: list[object] = []
    result = evaluate_run(run, lambda *step: outlined.append(step))
    assert not outlined
    assert result.is_new
    calls = pl.read_csv(run / FOLDER / "calls.csv")
    test = drawn_rows.filter(pl.col("split") == "test")
    assert sorted(calls["sha256"]) == sorted(test["sha256"])
    np.testing.assert_allclose(calls.select(pl.col(r"^prob_.*$")).to_numpy().sum(1), 1, atol=1e-9)
    assert result.scores.cells == 8
    for name in ("confusion.png", "reliability.png", "precision_recall.png"):
        with Image.open(run / FOLDER / name) as picture:
            assert min(picture.size) > 200
    (run / FOLDER / "calls.csv").unlink()
    again = evaluate_run(run)
    assert not again.is_new
    assert again.scores == result.scores
    assert not (run / FOLDER / "calls.csv").exists()


def test_other_weights_may_not_look_again(run: Path) -> None:
    evaluate_run(run)
    weights = torch.load(run / WEIGHTS_FILE, weights_only=True)
    weights = {k: v + 1 if v.is_floating_point() else v for k, v in weights.items()}
    torch.save(weights, run / WEIGHTS_FILE)
    with pytest.raises(UsageError, match="evaluated with other weights"):
        evaluate_run(run)


def test_two_runs_are_compared_on_the_same_cells(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    with pytest.raises(DataError, match="erythron evaluate"):
        compare_runs(run, other)
    evaluate_run(run)
    evaluate_run(other)
    assert compare_runs(run, other).accuracy.value == 0
    calls = other / FOLDER / "calls.csv"
    pl.read_csv(calls).head(5).write_csv(calls)
    with pytest.raises(DataError, match="same cells"):
        compare_runs(run, other)


def test_damaged_and_missing_runs_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finished training run"):
        evaluate_run(tmp_path / "nothing")
    (run / FOLDER).mkdir()
    (run / FOLDER / RESULT).write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        evaluate_run(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"network.mask_kind": "hull", "network.fusion": "logits_gate"},
        {"network.mask_kind": "cell"},
        {},
        {"network.fusion": "image"},
    ],
)
def test_the_light_install_gives_a_run_s_probabilities(
    changes: dict[str, object], tiny: Recipe, drawn_rows: pl.DataFrame, cell_cache: Path, tmp_path: Path
) -> None:
    """Through the command's own path: the image is outlined, framed and called by the exported bundle."""
    rows = drawn_rows.with_columns(mask_path=pl.lit(None, pl.String), mask_kind=pl.lit(None, pl.String))
    run = tmp_path / "run"
    train_run(vary_recipe(tiny, {"fit.epochs": 1, **changes}), rows, run, QUIET, cache=cell_cache)
    evaluate_run(run)
    bundle = write_run_bundle(run, tmp_path / "bundle")
    assert verify_bundle(bundle) <= bundle.card.self_test.tolerance
    wanted = pl.read_csv(run / FOLDER / "calls.csv").sort("path")
    paths = [Path(p) for p in wanted["path"]]
    got = classify_images(find_images(paths), tmp_path / "calls.csv", RunOptions(model=bundle.path))
    assert got.failures == ()
    columns = [f"prob_{c.name}" for c in bundle.classes]
    table = got.calls.sort("image")
    assert table["image"].to_list() == wanted["path"].to_list()
    difference = np.abs(table.select(columns).to_numpy() - wanted.select(columns).to_numpy()).max()
    assert difference < 1e-3


def test_export_needs_an_evaluated_run_that_sees_the_image(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="erythron evaluate"):
        write_run_bundle(run, tmp_path / "bundle")
    plan = json.loads((run / "run.json").read_text())
    plan["recipe"]["network"]["fusion"] = "mask"
    (run / "run.json").write_text(json.dumps(plan))
    with pytest.raises((UsageError, DataError)):
        write_run_bundle(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(UsageError, match="there already"):
        write_run_bundle(run, tmp_path)


def test_a_stored_bundle_names_data_and_results(run: Path, tmp_path: Path) -> None:
    evaluate_run(run)
    bundle = load_bundle(write_run_bundle(run, tmp_path / "bundle").path)
    assert bundle.card.cross_validation.cells == 8
    assert sum(c.prior for c in bundle.card.classes) == pytest.approx(1)
    card = (bundle.path / "card.md").read_text()
    assert "Research use only" in card
    assert "| drawn | 32 |" in card
