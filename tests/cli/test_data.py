"""The command line of labelled sets, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy import ndimage
from tests.program import Done, run_program

from erythron.datasets import fetch
from erythron.datasets.manifest import read_manifest, verify_split, write_manifest
from erythron.files.hashing import hash_file


def run(*words: str | Path, **environment: str) -> Done:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COLUMNS": "200", "ERYTHRON_DATA_DIR": "", **environment}.items():
            patch.setenv(name, value)
        return run_program("data", *words)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Twenty-four drawn crops in four class folders with Chinese names; the first two are one picture."""
    for i in range(24):
        noise = np.random.default_rng(max(i, 1)).normal(size=(100, 100))
        grey = np.clip(190 + 90 * ndimage.gaussian_filter(noise, 2), 0, 255).astype(np.uint8)
        path = tmp_path / "cells" / ("原红", "早幼红", "中幼红", "晚幼红")[i // 6] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([grey] * 3, 2)).save(path)
    return tmp_path / "cells"


def test_list_names_every_set_with_its_licence() -> None:
    shown = run("list")
    assert shown.returncode == 0
    for words in ("bmec", "pathology-bites-cells", "matek", "bloodmnist", "GPL-3.0", "CC BY 4.0"):
        assert words in shown.stdout
    for words in ("the four erythroid stages", "6.8 GB", "size unknown"):
        assert words in " ".join(shown.stdout.split()), words
    entries = json.loads(run("list", "--json").stdout)
    assert next(e for e in entries if e["name"] == "matek")["download_bytes"] == 6_800_000_000
    assert {e["name"]: e["trains_shipped_weights"] for e in entries}["segmentation_WBC"] is False


def test_split_writes_a_manifest_that_verifies(cells: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    done = run("split", cells, "--out", out, "--validation", "0.2", "--test", "0.2", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    rows = read_manifest(out)
    assert verify_split(rows) == record["split_hash"]
    assert [hash_file(Path(p)) for p in rows["path"]] == rows["sha256"].to_list()
    assert record == json.loads((tmp_path / "m.split.json").read_text(encoding="utf-8"))
    assert record["plan"] == {"validation": 0.2, "test": 0.2, "seed": 0}
    assert rows["source"].unique().to_list() == ["cells"]
    assert rows.filter(pl.col("path").str.contains("/0[01].png"))["split"].n_unique() == 1


def test_the_published_split_of_a_set_is_kept(cells: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(cells.glob("*/*.png"))[2:]):
        place = tmp_path / "mine" / ("val" if number % 3 == 0 else "train") / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    out = tmp_path / "m.csv"
    done = run("split", tmp_path / "mine", "--split", "published", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["plan"] == {"split": "published"}
    rows = read_manifest(out)
    assert rows["split"].value_counts().sort("split").rows() == [("test", 8), ("train", 14)]
    assert all(("val" in Path(p).parts) == (s == "test") for p, s in rows.select("path", "split").iter_rows())


def test_split_refuses_to_overwrite(cells: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.csv"
    assert run("split", cells, "--out", out).returncode == 0
    again = run("split", cells, "--out", out)
    assert again.returncode == 2
    assert "--force" in again.stderr
    record = (tmp_path / "m.split.json").read_bytes()
    beside = run(
        "split", cells, "--out", tmp_path / "m.parquet", "--seed", "1"
    )  # its record has that name too
    assert beside.returncode == 2
    assert "m.split.json: is there already" in beside.stderr
    assert (tmp_path / "m.split.json").read_bytes() == record
    assert run("split", cells, "--out", out, "--force", "--seed", "1").returncode == 0


def test_audit_exits_1_when_a_split_leaks_and_0_when_not(cells: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.csv"
    run("split", cells, "--out", out)
    clean = run("audit", out, "--out", tmp_path / "clean")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    rows = read_manifest(out)
    is_copy = pl.col("path").str.ends_with("00.png")
    write_manifest(
        rows.with_columns(
            pl.when(is_copy)
            .then(pl.lit("test"))
            .when(pl.col("path").str.ends_with("01.png"))
            .then(pl.lit("train"))
            .otherwise("split")
            .alias("split")
        ),
        tmp_path / "leak.csv",
    )
    leak = run("audit", tmp_path / "leak.csv", "--out", tmp_path / "leak", "--json")
    assert leak.returncode == 1
    found = json.loads(leak.stdout)
    assert found["leaks"] is True
    assert found["findings"]["exact_copy_on_two_sides"] == 1
    assert {p.name for p in (tmp_path / "leak").iterdir()} == {
        "audit.html",
        "findings.csv",
        "findings.json",
        "similar.csv",
    }
    table = pl.read_csv(tmp_path / "leak" / "findings.csv")
    assert "exact_copy_on_two_sides" in table["kind"].to_list()


def test_audit_refuses_a_folder_that_is_used(cells: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    assert run("audit", cells, "--out", tmp_path / "used").returncode == 2
    assert run("audit", cells, "--out", tmp_path / "used", "--force").returncode == 0
    assert run("audit", cells, "--out", tmp_path / "used", "--force").returncode == 0
    findings = tmp_path / "used" / "findings.csv"
    findings.write_text(findings.read_text().replace("detail\n", "detail,decision\n"))
    before = findings.read_bytes()
    edited = run("audit", cells, "--out", tmp_path / "used", "--force")
    assert edited.returncode == 2
    assert "findings.csv: is not as an audit writes it" in edited.stderr
    assert findings.read_bytes() == before


def test_fetch_finds_a_set_in_the_shared_folder_and_counts_it(cells: Path, tmp_path: Path) -> None:
    cells.rename(tmp_path / "bmec")
    done = run("fetch", "bmec", "--json", ERYTHRON_DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cells"] == 24
    assert found["labels"]["proerythroblast"] == 6
    assert "23 cells were found and 5666 are published: 5643 fewer." in found["notes"]


def test_fetch_says_what_is_to_come_before_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there: the size is said all the same, and the failure after it."""
    monkeypatch.setattr(fetch, "_PAUSE_S", 0.0)
    done = run(
        "fetch",
        "bloodmnist",
        ERYTHRON_CACHE_DIR=str(tmp_path),
        HTTPS_PROXY="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert said.startswith("to fetch: bloodmnist, 35.5 MB, from https://")
    assert said.index("35.5 MB") < said.index("broke off after 0 bytes")


def test_a_class_map_is_asked_for_and_used(cells: Path, tmp_path: Path) -> None:
    (cells / "原红").rename(cells / "1")
    asked = run("split", cells, "--out", tmp_path / "m.csv")
    assert asked.returncode == 1
    assert "'1' (6 images)" in asked.stderr
    assert "--class-map" in asked.stderr
    given = run("split", cells, "--out", tmp_path / "m.csv", "--class-map", "1=原红", "--class-map", "2=band")
    assert given.returncode == 0
    assert "No cell is called '2', which the class map names." in given.stderr
    assert (
        read_manifest(tmp_path / "m.csv").filter(pl.col("source_label") == "1")["label"][0]
        == "proerythroblast"
    )


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("fetch", "nothing"), 1, "no known set"),
        (("audit", "nothing"), 2, "no manifest"),
        (("audit", "none.csv"), 1, "cannot be read"),
        (("split", "bmec", "--out", "m.csv"), 2, "erythron data fetch bmec"),
        (("split", "bccd-masks", "--out", "m.csv"), 2, "a part of bccd"),
        (("split", ".", "--out", "m.xlsx"), 1, ".parquet or .csv"),
        (("audit", ".", "--class-map", "1"), 2, "NAME=CLASS"),
        (("audit", ".", "--class-map", "1=dragon"), 2, "dragon"),
    ],
)
def test_wrong_usage_says_what_to_do(
    tmp_path: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    done = run(*words, ERYTHRON_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr.replace("\n", " ")
