from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import torch
from filelock import FileLock

from erythron.errors import DataError, UsageError
from erythron.train.classifier.networks.settings import Pretraining
from erythron.train.classifier.networks.two_branch import build_network
from erythron.train.experiments import runner
from erythron.train.experiments.grids import AS_PUBLISHED, EXPERIMENTS, Arm, choose_arms
from erythron.train.experiments.runner import (
    Plan,
    RunKey,
    do_runs,
    find_calls,
    keep_classes,
    list_runs,
    make_recipe,
    split_rows,
)
from erythron.train.experiments.table import list_missing, render_table, summarise, write_table
from erythron.train.recipe import FineTunedRecipe
from erythron.train.recipe_file import load_fine_tuned, vary_recipe
from erythron.train.shared.hardware import Checkpoint, Hardware
from erythron.train.shared.run_folder import RUN_FILE

QUIET = Hardware(threads=1, loggers=())
ARMS = (Arm("image only", {"network.fusion": "image"}), Arm("both", {}, "image only"))


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_every_arm_of_every_experiment_is_a_recipe_and_is_compared_with_an_arm(name: str) -> None:
    experiment = EXPERIMENTS[name]
    names = [arm.name for arm in experiment.arms]
    assert len(set(names)) == len(names)
    base = load_fine_tuned(experiment.base)
    files = {find_calls(Path(), RunKey(arm, 0, 0)) for arm in experiment.arms}
    assert len(files) == len(names)
    for arm in experiment.arms:
        assert make_recipe(base, RunKey(arm, 0, 0)).name == arm.name
        assert arm.against is None or arm.against in names


@pytest.mark.parametrize("name", ["ConvNeXt-T", "DINOv2 ViT-S/14", "EfficientNet-Lite2"])
def test_recent_baselines_see_the_image_at_the_size_of_the_comparison(name: str) -> None:
    arm = next(arm for arm in EXPERIMENTS["baselines"].arms if arm.name == name)
    recipe = make_recipe(load_fine_tuned("comparison"), RunKey(arm, 0, 0))
    network = recipe.network.model_copy(update={"pretraining": Pretraining.NONE})
    torch.manual_seed(0)
    built = build_network(network, 4, recipe.inputs.px).eval()
    pixels = torch.randn(2, 3, recipe.inputs.px, recipe.inputs.px)
    with torch.no_grad():
        logits = built(pixels, pixels[:, :0])
    assert logits.shape == (2, 4)
    assert not torch.allclose(logits[0], logits[1])


def test_the_ablation_compares_what_the_paper_leaves_open() -> None:
    base = load_fine_tuned("small")
    arms = {a.name: make_recipe(base, RunKey(a, 0, 0)) for a in EXPERIMENTS["ablation"].arms}
    assert {r.network.fusion for r in arms.values()} >= {
        "image",
        "mask",
        "feature_concat",
        "feature_gate",
        "logits_gate",
    }
    assert {r.network.mask_kind for r in arms.values()} == {"hull", "cell", "nucleus_cell"}
    assert {r.network.norm for r in arms.values()} >= {"batch", "group", "frozen"}
    assert {r.augmentation.kind for r in arms.values()} == {"published", "size_preserving"}
    assert len({(r.fit.epochs, r.fit.batch_size) for r in arms.values()}) == 1


def test_every_switch_of_the_paper_s_arm_is_set_to_published() -> None:
    arm = next(a for a in EXPERIMENTS["paper"].arms if a.changes == AS_PUBLISHED)
    recipe = make_recipe(load_fine_tuned("paper"), RunKey(arm, 0, 0))
    assert recipe.all_epochs == 310
    for chosen in (recipe.augmentation.crop, recipe.augmentation.interpolation, recipe.optimiser.schedule):
        assert chosen == "published"
    assert recipe.augmentation.evaluation_crop == "published"


def test_an_experiment_resumes_and_its_table_says_what_is_missing(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    base = vary_recipe(tiny, {"fit.epochs": 1})
    plan = Plan(ARMS, base, seeds=2, folds=2)
    assert len(list(list_runs(plan))) == 8
    do_runs(Plan(ARMS, base, seeds=1, folds=2), drawn_rows, tmp_path, QUIET)
    missing = list_missing(plan, tmp_path)
    assert len(missing) == 4
    assert all("seed 1" in m for m in missing)
    kept = find_calls(tmp_path, RunKey(ARMS[0], 0, 0))
    before = kept.stat().st_mtime_ns
    do_runs(plan, drawn_rows, tmp_path, QUIET)
    assert kept.stat().st_mtime_ns == before
    assert list_missing(plan, tmp_path) == []
    results = summarise(plan, tmp_path)
    assert [r.seeds for r in results] == [2, 2]
    assert results[0].difference is None
    assert results[1].difference is not None
    assert results[1].figures is not None
    first = results[0].figures
    assert first is not None
    gap = results[1].figures["accuracy"].value - first["accuracy"].value
    assert results[1].difference.value == pytest.approx(gap, abs=2e-4)
    write_table(results, [], tmp_path)
    assert "both" in (tmp_path / "table.md").read_text()
    assert pl.read_csv(tmp_path / "table.csv").height == 2
    assert (tmp_path / "accuracy.png").stat().st_size > 5000
    # Every cell is called once a seed, by a network that did not train on its group.
    calls = pl.concat([pl.read_csv(find_calls(tmp_path, RunKey(ARMS[0], 0, f))) for f in range(2)])
    assert sorted(calls["sha256"]) == sorted(drawn_rows["sha256"])
    with pytest.raises(UsageError, match="other data or settings"):
        do_runs(plan, drawn_rows.head(40), tmp_path, QUIET)


def test_a_run_that_another_process_has_in_hand_is_left_to_it(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    plan = Plan(ARMS[:1], vary_recipe(tiny, {"fit.epochs": 1}), seeds=1, folds=2)
    first, second = (find_calls(tmp_path, key) for key in list_runs(plan))
    first.parent.mkdir(parents=True)
    with FileLock(first.with_suffix(".lock")):
        do_runs(plan, drawn_rows, tmp_path, QUIET)
    assert second.exists()
    assert not first.exists()
    assert len(list_missing(plan, tmp_path)) == 1
    do_runs(plan, drawn_rows, tmp_path, QUIET)
    assert list_missing(plan, tmp_path) == []


def test_classes_of_fewer_groups_than_folds_are_left_out(drawn_rows: pl.DataFrame) -> None:
    rare = pl.col("label") == "proerythroblast"
    rows = drawn_rows.with_columns(group=pl.when(rare).then(pl.lit("one smear")).otherwise(pl.col("group")))
    kept = keep_classes(rows, "label", 3)
    assert kept.equals(rows.filter(~rare))
    assert keep_classes(rows, "label", 0).equals(rows)
    with pytest.raises(DataError, match="fewer than two classes"):
        keep_classes(rows, "label", 13)


def test_folds_keep_groups_whole(tiny: FineTunedRecipe, drawn_rows: pl.DataFrame) -> None:
    grouped = drawn_rows.with_columns(group=pl.col("group").str.replace(r"^(\d+)-(\d+)$", "pair ${2}"))
    plan = Plan(ARMS, tiny, seeds=1, folds=3)
    for fold in range(3):
        split = split_rows(grouped, plan, 0, fold)
        sides = split.group_by("group").agg(pl.col("split").n_unique())
        assert sides["split"].max() == 1
        assert set(split["split"]) == {"train", "test"}


def test_the_stated_split_is_used_and_checked(tiny: FineTunedRecipe, drawn_rows: pl.DataFrame) -> None:
    plan = Plan(ARMS, tiny, seeds=1, folds=0)
    assert split_rows(drawn_rows, plan, 0, 0).equals(drawn_rows)


def test_an_empty_experiment_has_a_table_that_says_so(tiny: FineTunedRecipe, tmp_path: Path) -> None:
    plan = Plan(ARMS, tiny, 1, 2)
    results, missing = summarise(plan, tmp_path), list_missing(plan, tmp_path)
    text = render_table(results, missing)
    assert text.count("not run") == 2
    assert "4 runs are missing" in text
    write_table(results, missing, tmp_path)


def test_unknown_arms_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="image only; mask only"):
        choose_arms(EXPERIMENTS["ablation"], ("magic",))
    assert [a.name for a in choose_arms(EXPERIMENTS["ablation"], ("published", "image only"))] == [
        "image only",
        "published",
    ]


def test_of_several_processes_the_first_alone_takes_a_run_in_hand_and_writes(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each took the lock, so all but one left the run out and the one waited for them for ever."""
    plan = Plan(ARMS[:1], vary_recipe(tiny, {"fit.epochs": 1}), seeds=1, folds=2)
    keys = list(list_runs(plan))
    trained: list[str] = []
    monkeypatch.setattr(runner, "train_run", lambda _r, _s, folder, *_a, **_k: trained.append(folder.name))
    monkeypatch.setattr(runner, "prepare_cells", lambda rows, *_: CellsOf(rows))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    first = find_calls(tmp_path, keys[0])
    first.parent.mkdir(parents=True)
    # The second fold is trained and only waits to be called, which is the first process' work.
    (find_calls(tmp_path, keys[1]).with_suffix("")).mkdir()
    (find_calls(tmp_path, keys[1]).with_suffix("") / RUN_FILE).touch()
    with FileLock(first.with_suffix(".lock")):
        do_runs(plan, drawn_rows, tmp_path, QUIET)
        assert trained == ["seed0-fold0"]
        assert not first.exists()
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(UsageError, match="another command has it in hand"):
            do_runs(plan, drawn_rows, tmp_path, QUIET)
    assert trained == ["seed0-fold0"]


def test_a_published_split_keeps_the_last_epoch_beside_the_best(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    plan = Plan(ARMS[:1], tiny, seeds=1, folds=0, is_published=True)
    with pytest.raises(UsageError, match="--checkpoint last keeps both"):
        do_runs(plan, drawn_rows, tmp_path, Hardware(checkpoint=Checkpoint.BEST))


@dataclass
class CellsOf:
    """Prepared cells that nothing is computed of."""

    rows: pl.DataFrame

    def take(self, _index: object) -> CellsOf:
        return self
