"""One command from sets as their sources lay them out, one of them fetched, to a bundle and its card."""

from __future__ import annotations

import functools
import os
import sys
import threading
import zipfile
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfile

import polars as pl
import pytest
from tests.ahead import Ahead

from erythron.bundle.folder import Bundle, load_bundle
from erythron.cli import run_command
from erythron.datasets.registry import load_registry
from erythron.errors import UsageError
from erythron.train.all_sets import list_wanted, take_all_sets
from erythron.train.recipe import FrozenRecipe
from erythron.train.recipe_file import load_recipe, vary_recipe
from erythron.train.shared.run_folder import read_record

STAGES = {
    "proerythroblast": "原红",
    "basophilic": "早幼红",
    "polychromatic": "中幼红",
    "orthochromatic": "晚幼红",
}
DEEPHEME = {"proerythroblast": "ER1", "basophilic": "ER2", "polychromatic": "ER3", "orthochromatic": "ER4"}


def imitate_sets(real: Path, folder: Path, served: Path) -> None:
    """Lay out a few real cells as each set's source does; what imitates BMEC becomes an archive to fetch."""
    crops = real / "pathology-bites-cells" / "public" / "images" / "cells"

    def take(label: str, first: int, count: int) -> list[Path]:
        return sorted(crops.glob(f"{label}_*.png"))[first : first + count]

    def keep(source: Path, *parts: str) -> None:
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(source, target)

    for label in (*STAGES, "lymphocyte", "band"):
        for path in take(label, 0, 2):
            keep(path, "pathology-bites-cells", "public", "images", "cells", path.name)
    served.mkdir()
    with zipfile.ZipFile(served / "data.zip", "w") as archive:
        for label, name in STAGES.items():
            for path in take(label, 2, 2):
                archive.write(path, f"data/{name}/{path.name}")
    for label, code in DEEPHEME.items():
        keep(take(label, 4, 1)[0], "deepheme", code, f"{code}.png")
    for path in take("myelocyte", 2, 2):
        keep(path, "deepheme", "M3", path.name)
    for name in ("other_types/erythroblast", "other_types/platelet", "wbc/monocyte"):
        for path in sorted((real / "pbc-acevedo").glob(f"**/{Path(name).name}/**/*.jpg"))[:2]:
            keep(path, "pbc-acevedo", name, path.name)
    erythroblasts = sorted((real / "matek-samples").glob("EBO_*.jpg"))
    keep(erythroblasts[0], "matek", "EBO", "0001-1000", "EBO_00001.jpg")
    keep(erythroblasts[1], "matek", "PEB", "0001-1000", "PEB_00001.jpg")
    for code in ("BLA", "NIF"):
        for path in sorted((real / "matek-marrow" / code).iterdir())[:2]:
            keep(path, "matek", code, "0001-1000", path.name)
            keep(path, "matek-marrow", code, path.name)
    for name in sorted((real / "bcisc" / "sub-images" / "images").glob("*.jpg"))[::120][:3]:
        keep(name, "bcisc", "sub-images", "images", name.name)
    for name in ("BloodImage_00001", "BloodImage_00002"):
        keep(real / "bccd" / "BCCD" / "Annotations" / f"{name}.xml", "bccd", "Annotations", f"{name}.xml")
        keep(real / "bccd" / "BCCD" / "JPEGImages" / f"{name}.jpg", "bccd", "JPEGImages", f"{name}.jpg")
    for name in ("001.bmp", "001.png", "002.bmp", "002.png"):
        keep(real / "segmentation_WBC" / "Dataset 1" / name, "segmentation_WBC", "Dataset 1", name)


def train_on_all(root: Path) -> None:
    """``erythron train default --sets all --fetch --bundle`` on sets in a folder, at the smallest size."""
    handler = functools.partial(_Quiet, directory=str(root / "served"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    registry = load_registry()
    url = f"http://127.0.0.1:{httpd.server_port}/data.zip"
    words = ["train", "default", "--sets", "all", "--fetch", "--out", str(root / "run")]
    words += ["--bundle", str(root / "bundle"), "--set", "folds=2", "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERYTHRON_DATA_DIR", str(root / "sets"))
        patch.setenv("ERYTHRON_CACHE_DIR", str(root / "cache"))
        patch.setitem(registry, "bmec", registry["bmec"].model_copy(update={"url": url}))
        patch.setattr("erythron.train.all_sets.SAMPLES", 0)
        small = vary_recipe(load_recipe("default"), {"segmenter.fit": False, "sets.0.samples": 0})
        small = vary_recipe(small, {"sets.1.samples": 0})
        patch.setattr("erythron.train.recipe_file.load_recipe", lambda _: small)
        run_command(words)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.train.test_all_sets", folder]


@dataclass
class Made:
    """What one command made, and what it said."""

    run: Path
    bundle: Bundle
    said: str
    text: str


@pytest.fixture(scope="module")
def made(data_dir: Path, programs: Ahead) -> Made:
    """The run and the bundle of all sets."""
    ended = programs.wait(prepare)
    assert ended.returncode == 0, ended.stderr
    bundle = load_bundle(ended.folder / "bundle")
    said = " ".join(ended.stderr.split())
    return Made(ended.folder / "run", bundle, said, (bundle.path / "card.md").read_text())


@pytest.mark.ahead(start=prepare)
def test_every_set_that_is_here_or_can_be_fetched_is_trained_on(made: Made) -> None:
    names = {d.name for d in made.bundle.card.data}
    assert names == {
        "pathology-bites-cells",
        "pbc-acevedo",
        "bmec",
        "segmentation_WBC",
        "bcisc",
        "bccd",
        "matek",
        "deepheme",
    }, "parts of the Munich set and the small copies of pbc-acevedo do not join it"
    assert made.said.index("to fetch: bmec, ") < made.said.index("sets that are trained on:")
    assert "kB, from http://127.0.0.1" in made.said
    recipe = read_record(made.run).recipe
    assert isinstance(recipe, FrozenRecipe)
    alone = {entry.data for entry in recipe.sets if entry.lineage_weight == 0}
    assert alone == {"bmec", "segmentation_WBC", "bcisc", "bccd"}, "only erythroid cells, or none"
    assert {entry.data for entry in recipe.sets if entry.judged} == {
        "pathology-bites-cells",
        "bmec",
        "deepheme",
    }
    assert any("bmec, segmentation_WBC, deepheme" in limit for limit in made.bundle.card.limits)


@pytest.mark.ahead(start=prepare)
def test_labels_join_as_fine_as_each_set_has_them(made: Made) -> None:
    by_set = made.bundle.card.evaluation.by_set
    assert by_set["bmec"].labels == dict.fromkeys(
        (
            "proerythroblast",
            "basophilic_erythroblast",
            "polychromatic_erythroblast",
            "orthochromatic_erythroblast",
        ),
        2,
    )
    assert by_set["matek"].labels == {"blast": 2, "erythroblast": 1, "proerythroblast": 1}
    assert by_set["bccd"].labels["white_cell"] >= 1
    left_out = pl.read_csv(made.run / "left_out.csv")
    reasons = left_out.filter(pl.col("path").str.contains("/matek/"))["reason"].to_list()
    assert len(reasons) == 2
    assert all("not_identifiable" in reason for reason in reasons)


@pytest.mark.ahead(start=prepare)
def test_the_card_says_what_each_set_added(made: Made) -> None:
    for name, figures in made.bundle.card.evaluation.by_set.items():
        assert figures.own["named_right"].without is not None or name == "bccd"
        assert figures.judged["stage_accuracy_of_all_classes"].without is not None
    munich = made.bundle.card.evaluation.by_set["matek"]
    assert set(munich.own) == {"named_right", "erythroid_found", "called_erythroid"}
    both = munich.own["called_erythroid"]
    values = f"{both.with_source:.3f} | {both.without:.3f}"
    assert f"| matek | its own cells | other cells called erythroid | {values} |" in made.text
    assert "| matek | blast 2, " in made.text


def test_only_what_is_here_joins_and_the_rest_is_named(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERYTHRON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(data_dir))
    recipe = load_recipe("default")
    found = take_all_sets(recipe)
    by_name = {entry.data: entry for entry in found.recipe.sets}
    assert found.recipe.sets[:2] == recipe.sets
    assert "matek" not in by_name
    # It holds no erythroblast, so it teaches no lineage; three of the few samples are no set to learn from.
    assert (by_name["matek-marrow"].weight, by_name["matek-marrow"].lineage_weight) == (0.5, 0.0)
    assert "matek-samples" not in by_name
    assert [by_name[name].lineage_weight for name in ("bcisc", "bccd")] == [0.0, 0.0]
    assert any("matek is not here; get it by hand from https" in note for note in found.notes)
    assert any("bmec is not here; give --fetch" in note for note in found.notes)
    assert "bloodmnist" not in {s.name for s in list_wanted(recipe)}
    assert isinstance(recipe, FrozenRecipe)
    assert found.recipe.segmenter == recipe.segmenter

    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="nothing could be judged"):
        take_all_sets(recipe)
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "pathology-bites-cells").symlink_to(data_dir / "pathology-bites-cells")
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(tmp_path / "sets"))
    alone = take_all_sets(recipe)
    assert [entry.data for entry in alone.recipe.sets] == ["pathology-bites-cells"]
    assert alone.recipe.segmenter.fit is False
    assert any("outlined by the network that ships" in note and "bcisc" in note for note in alone.notes)


def test_a_network_that_is_fine_tuned_takes_no_sets_of_different_labels() -> None:
    with pytest.raises(UsageError, match="frozen_encoder"):
        take_all_sets(load_recipe("small"))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    imitate_sets(Path(os.environ["ERYTHRON_DATA_DIR"]), place / "sets", place / "served")
    train_on_all(place)
