from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from PIL import Image
from tests.ahead import Ahead
from tests.train.conftest import draw_manifest, make_tiny
from typer.testing import CliRunner

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.schema import Method
from erythron.cells.table import is_unlike_training
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.classify.selftest import verify_bundle
from erythron.cli import app
from erythron.errors import DataError, UsageError
from erythron.pipeline.classify import classify_images
from erythron.pipeline.options import RunOptions
from erythron.quality.flags import QualityThresholds
from erythron.quality.image import measure_stain
from erythron.read.fields import read_image
from erythron.read.inputs import find_images
from erythron.train.classifier.fine_tuned.evaluate import evaluate_fine_tuned
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.recipe_file import vary_recipe
from erythron.train.shared.evaluation import FOLDER, Evaluation, read_evaluation
from erythron.train.shared.hardware import Hardware
from erythron.train.trainer import export

QUIET = Hardware(threads=1, loggers=())


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.train.classifier.fine_tuned.test_export", folder]


pytestmark = pytest.mark.ahead(start=prepare)


def make_bundles(folder: Path) -> None:
    """Train two networks on cells that the shipped segmentation network outlined, and export them.

    The second looks at hulls. Batch normalisation, as published, is exported in half the time of that by
    groups.
    """
    rows, cache = hide_masks(draw_manifest(folder / "cells")), folder / "cache"
    train_run(make_tiny(), rows, folder / "trained", QUIET, cache=cache)
    shutil.copytree(folder / "trained", folder / "run")
    changes = {"fit.epochs": 1, "network.mask_kind": "hull", "network.fusion": "logits_gate"}
    recipe = vary_recipe(make_tiny(), {**changes, "network.norm": "batch"})
    train_run(recipe, rows, folder / "hulls", QUIET, cache=cache)
    for name in ("run", "hulls"):
        evaluate_fine_tuned(folder / name)
        export(folder / name, folder / f"{name}-bundle")


@pytest.fixture(scope="module")
def made(programs: Ahead) -> Path:
    """The folder with the runs and the bundles."""
    ended = programs.wait(prepare)
    assert ended.returncode == 0, ended.stderr
    return ended.folder


@pytest.fixture(scope="module")
def exported(made: Path) -> tuple[Path, Evaluation, Bundle]:
    """A run with its evaluation and its bundle."""
    return made / "run", read_evaluation(made / "run"), load_bundle(made / "run-bundle")


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """The same run before it was evaluated."""
    copy = tmp_path / "run"
    shutil.copytree(made / "trained", copy)
    return copy


def hide_masks(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(mask_path=pl.lit(None, pl.String), mask_kind=pl.lit(None, pl.String))


def test_the_light_install_gives_a_run_s_probabilities(
    exported: tuple[Path, Evaluation, Bundle], tmp_path: Path
) -> None:
    run, _, bundle = exported
    check_probabilities(run, bundle, tmp_path)


def test_the_light_install_gives_those_of_a_run_with_hulls(made: Path, tmp_path: Path) -> None:
    check_probabilities(made / "hulls", load_bundle(made / "hulls-bundle"), tmp_path)


def check_probabilities(run: Path, bundle: Bundle, folder: Path) -> None:
    """Through the command's own path: the image is outlined, framed and called by the exported bundle."""
    assert verify_bundle(bundle) <= bundle.card.self_test.tolerance
    wanted = pl.read_csv(run / FOLDER / "calls.csv").sort("path")
    paths = [Path(p) for p in wanted["path"]]
    got = classify_images(find_images(paths), folder / "calls.csv", RunOptions(model=bundle.path))
    assert got.failures == ()
    columns = [f"prob_{c.name}" for c in bundle.classes]
    table = got.calls.sort("image")
    assert table["image"].to_list() == wanted["path"].to_list()
    difference = np.abs(table.select(columns).to_numpy() - wanted.select(columns).to_numpy()).max()
    assert difference < 1e-3


def test_export_needs_an_evaluated_run_that_sees_the_image(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="erythron evaluate"):
        export(run, tmp_path / "bundle")
    plan = json.loads((run / "run.json").read_text())
    plan["recipe"]["augmentation"]["evaluation_crop"] = "published"
    (run / "run.json").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match="evaluation_crop = 'whole'"):
        export(run, tmp_path / "bundle")
    plan["recipe"]["augmentation"]["evaluation_crop"] = "whole"
    plan["recipe"]["network"]["fusion"] = "mask"
    (run / "run.json").write_text(json.dumps(plan))
    with pytest.raises((UsageError, DataError)):
        export(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(UsageError, match="there already"):
        export(run, tmp_path)


def test_a_stored_bundle_names_data_and_results(exported: tuple[Path, Evaluation, Bundle]) -> None:
    bundle = load_bundle(exported[2].path)
    assert bundle.card.evaluation.cells == 8
    assert sum(c.prior for c in bundle.card.classes) == pytest.approx(1)
    card = (bundle.path / "card.md").read_text()
    assert "Research use" in card
    assert "| drawn | 32 |" in card


def test_a_user_s_bundle_says_what_it_is_as_the_shipped_one_does(
    exported: tuple[Path, Evaluation, Bundle],
) -> None:
    _, evaluation, bundle = exported
    card = bundle.card
    assert card.kind == "fine_tuned"
    assert card.temperature == evaluation.calibration.temperature != 1
    assert card.unclassified_below == evaluation.calibration.threshold
    assert card.calibrated_on == "validation part"
    assert tuple(m.name for m in card.measurements) == MEASUREMENT_INPUTS
    assert not card.takes_measurements
    assert card.evaluation.method is Method.TEST_PART
    assert np.sum(card.evaluation.confident_confusion) == np.sum(card.evaluation.confusion) == 8
    assert "taken from erythron-default" in card.outlines_from
    assert {d.name for d in card.outline_data} >= {"bcisc", "marrow-masks"}
    outputs = [o.name for o in onnx.load(bundle.classifier_path).graph.output]
    assert outputs == ["logits", "novelty"]
    text = (bundle.path / "card.md").read_text()
    assert "chosen on the validation part" in text
    assert "It takes no measurements" in text
    assert "cross" not in text.split("## Outlines")[0]
    assert "out-of-fold" not in text


def test_a_count_with_a_user_s_bundle_says_what_it_says_with_the_shipped_one(
    exported: tuple[Path, Evaluation, Bundle], drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    """Held-out cells are not unlike those trained on, and a field's stain is compared with theirs."""
    rows, bundle = drawn_rows, exported[2]
    held = [Path(p) for p in rows.filter(pl.col("split") == "validation")["path"]]
    called = classify_images(find_images(held), tmp_path / "calls.csv", RunOptions(model=bundle.path)).calls
    assert called.height == 8
    # The limit of each of two distances lies within those of the eight cells, so each may flag its furthest.
    assert called.select(is_unlike_training().sum()).item() <= 2

    pictures = [np.asarray(Image.open(path)) for path in rows["path"].sample(16, seed=0)]
    field = np.concatenate([np.concatenate(pictures[i : i + 4], axis=1) for i in range(0, 16, 4)])
    Image.fromarray(field).save(tmp_path / "field.png")
    options = ["--mpp", "0.4", "--model", str(bundle.path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["count", str(tmp_path / "field.png"), *options])
    assert done.exit_code == 0, done.output
    cells = pl.read_csv(tmp_path / "out" / "field" / "cells.csv")
    assert cells.height >= 12
    image = read_image(tmp_path / "field.png", 0.4)
    stain = measure_stain(cells, image.background, bundle.card)
    assert stain is not None
    assert stain < QualityThresholds().stain_distance
    assert "stain_unlike_training" not in done.output


if __name__ == "__main__":
    make_bundles(Path(sys.argv[1]))
