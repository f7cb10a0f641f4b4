from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.ahead import Ended

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import Method
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.classify.selftest import verify_bundle
from erythron.errors import UsageError
from erythron.train.classifier.frozen.left_out import CLASSES
from erythron.train.classifier.frozen.train import LEFT_OUT, train_frozen
from erythron.train.recipe import FrozenRecipe
from erythron.train.recipe_file import add_set, vary_recipe
from erythron.train.shared.evaluation import FOLDER, read_evaluation
from erythron.train.shared.run_folder import ROWS_FILE, RunRecord, read_record
from erythron.train.trainer import evaluate, export

from .small_run import prepare

pytestmark = pytest.mark.ahead(start=prepare)


def test_a_run_is_judged_out_of_fold_and_its_bundle_verifies(
    trained: tuple[Path, RunRecord], exported: Bundle
) -> None:
    run, record = trained
    evaluation = evaluate(run)
    assert evaluation.method is Method.CROSS_VALIDATION
    assert np.sum(evaluation.scores.confusion) == np.sum(evaluation.confident_confusion) == 20
    calls = pl.read_csv(run / FOLDER / "calls.csv")
    assert calls.height == 20
    probabilities = calls.select(pl.col(r"^prob_.*$")).to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    others = pl.read_csv(run / FOLDER / "calls_pbc-acevedo.csv")
    assert sorted(others["label"]) == ["erythroblast"] * 3 + ["monocyte"] * 3
    assert set(evaluation.by_set) == {"pathology-bites-cells", "pbc-acevedo"}
    for figures in evaluation.by_set.values():
        assert figures.erythroid_auc is not None
        assert figures.unseen_erythroid_auc is not None

    bundle, card = exported, exported.card
    assert verify_bundle(bundle) <= card.self_test.tolerance
    assert card.export_difference < 2e-3
    assert card.kind == "frozen_encoder"
    assert card.takes_measurements
    assert tuple(m.name for m in card.measurements) == MEASUREMENT_INPUTS
    assert [d.name for d in card.data] == ["pathology-bites-cells", "pbc-acevedo"]
    assert [d.cells for d in card.data] == [20, 6]
    assert card.temperature == evaluation.calibration.temperature
    assert card.calibrated_on == "out-of-fold cells of pathology-bites-cells"
    assert sum(c.prior for c in card.classes) == pytest.approx(1)
    network = bundle.classifier_path.read_bytes()
    assert b"stack_trace" not in network
    assert b"train.py" not in network
    text = (bundle.path / "card.md").read_text()
    assert "2 folds on 20 judged cells" in text
    assert f"| pbc-acevedo | 6 | {evaluation.by_set['pbc-acevedo'].erythroid_auc:.3f} |" in text
    assert "may have learned from some of the cells" in text
    with pytest.raises(UsageError, match="there already"):
        export(run, bundle.path)
    assert record.cells == 26


def test_a_set_added_by_one_line_joins_the_others(trained: tuple[Path, RunRecord], small_run: Ended) -> None:
    """A folder of one's own: its erythroblasts leave the stage open, its red cell is left out by name."""
    run = small_run.folder / "mine"
    record = read_record(run)
    left_out = pl.read_csv(run / LEFT_OUT)
    assert [Path(p).parent.name for p in left_out["path"]] == ["RBC"]
    assert "red_cell" in left_out["reason"][0]
    assert [d.name for d in record.data] == ["pathology-bites-cells", "pbc-acevedo", "mine"]
    assert record.data[2].licence == "not stated"
    evaluation = read_evaluation(run)
    assert evaluation.scores.cells == 20
    assert set(evaluation.by_set) == {"pathology-bites-cells", "pbc-acevedo", "mine"}
    assert record.split_hash != trained[1].split_hash


def test_a_set_can_replace_all_others_and_be_judged_alone(data_folder: Path, tmp_path: Path) -> None:
    recipe = FrozenRecipe(folds=2, inputs={"px": 96, "mpp": 0.25})
    alone = vary_recipe(
        add_set(recipe, str(data_folder / "mine")), {"sets.0.judged": True, "sets.0.samples": 0}
    )
    assert isinstance(alone, FrozenRecipe)
    train_frozen(alone, tmp_path / "run", 1)
    evaluation = read_evaluation(tmp_path / "run")
    assert evaluation.scores.cells == 4
    assert evaluation.by_set["mine"].unseen_erythroid_auc is None
    assert pl.read_parquet(tmp_path / "run" / ROWS_FILE).height == 8


def test_training_twice_gives_the_same_figures(
    trained: tuple[Path, RunRecord], small_run: Ended, data_folder: Path, small_frozen: FrozenRecipe
) -> None:
    again = small_run.folder / "again"
    assert read_evaluation(again).scores == read_evaluation(trained[0]).scores
    with pytest.raises(UsageError, match="finished"):
        train_frozen(small_frozen, again, 1)


def test_a_recipe_that_judges_nothing_or_misses_a_set_is_refused(
    data_folder: Path, small_frozen: FrozenRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no set is judged"):
        train_frozen(vary_recipe(small_frozen, {"sets.0.judged": False}), tmp_path / "a", 1)
    with pytest.raises(UsageError, match="names no sets"):
        train_frozen(FrozenRecipe(), tmp_path / "b", 1)
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ERYTHRON_CACHE_DIR", str(tmp_path))
    with pytest.raises(UsageError, match="pathology-bites-cells is not here"):
        train_frozen(small_frozen, tmp_path / "c", 1)
    assert not any((tmp_path / name).exists() for name in "abc")


def test_the_outputs_are_the_default_classes(trained: tuple[Path, RunRecord]) -> None:
    assert trained[1].classes == CLASSES
