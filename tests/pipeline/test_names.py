"""Every command does what it should with names of any bytes, and nothing to what is not its own."""

from __future__ import annotations

import shutil
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from tests.program import run_program

from erythron.compare.results import compare_results
from erythron.errors import UsageError
from erythron.files.naming import as_text
from erythron.files.tables import read_csv
from erythron.pipeline.classify import classify_images
from erythron.pipeline.count import count_images
from erythron.pipeline.extract import extract_cells
from erythron.pipeline.mask import MaskOptions, mask_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import InputImage, find_images
from erythron.results.convert import ExportFormat, convert_run
from erythron.synthetic.field import DrawnFieldSpec, draw_field

OPTIONS = RunOptions(mpp=0.25)
NAMES = (
    "a[1].png", "a1.png", "b*.png", "b?.png", "{c}.png", "=1+1.png", "run.json.png", "..png", "d\udcff.png",
    "é" * 123 + "a.png", unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png"),
    "two\nlines.png",
)  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("in")
    paths = [folder / name for name in NAMES]
    for seed, path in enumerate(paths):
        Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb).save(path, "PNG")
    return paths


@pytest.fixture(scope="module")
def run(images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "r[u]n*"
    assert count_images(find_images(images), out, OPTIONS).failures == ()
    return out


def test_every_image_is_counted_under_its_name(images: list[Path], run: Path) -> None:
    summary = read_csv(run / "summary.csv")
    assert summary["image"].to_list() == [as_text(path) for path in images]
    assert set(summary["status"]) == {"done"}
    folders = sorted(path.parent for path in run.rglob("record.json"))
    assert len(folders) == len(images)
    assert all(folder.parent == run for folder in folders)
    for row, image in zip(summary.iter_rows(named=True), find_images(images), strict=True):
        cells = read_csv(run / image.place / "cells.csv", {"image": pl.String()})
        counted = cells.filter(~pl.col("counted_as").is_in(["left_out", "platelet"]))
        assert counted.height == row["nucleated_cells"]
    assert not list(run.rglob("*.partial"))


def test_a_run_of_such_names_is_kept_converted_and_compared(
    images: list[Path], run: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("cells.csv")}
    assert count_images(find_images(images), run, OPTIONS).failures == ()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("cells.csv")} == before
    for kind in ExportFormat:
        suffix = "xlsx" if kind is ExportFormat.XLSX else "json"
        done = convert_run(run, kind, tmp_path / f"o[1]*.{kind.value}.{suffix}")
        assert done.images == len(images)
    found = compare_results(run, run)
    assert found.cells is not None
    assert found.cells.only_a == found.cells.only_b == 0
    assert found.cells.same_call.value == 1


def test_calls_of_a_person_find_images_of_such_names(images: list[Path], run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    tables = [
        next(copy.glob(f"{start}*/cells.csv"))
        for start in ("d\udcff", "two")
        if next(copy.glob(f"{start}*/cells.csv")).read_text().count("\n") > 1
    ]
    assert tables
    for table in tables:
        head, first, *rest = table.read_text().splitlines(keepends=True)
        columns, row = head.rstrip("\n").split(","), first.rstrip("\n").split(",")
        row[columns.index("counted_as")] = "not_a_cell"
        table.write_text(head + ",".join(row) + "\n" + "".join(rest))
    done = recount(copy, tables, Reading("A. Reader", datetime(2026, 5, 4, tzinfo=UTC)))
    assert done.changed == len(tables)
    assert len(list(copy.rglob("review.json"))) == len(tables)


def test_extract_mask_and_classify_take_such_names(images: list[Path], run: Path, tmp_path: Path) -> None:
    inputs = find_images(images)
    cut = extract_cells(inputs, tmp_path / "c[ut]", OPTIONS)
    assert cut.failures == ()
    again = extract_cells(inputs, tmp_path / "c[ut]", OPTIONS)
    assert again.cells == cut.cells > 0
    masks = mask_images(inputs, tmp_path / "m", MaskOptions(every_cell=True, mpp=0.25))
    assert (masks.written, masks.failures) == (len(images), ())
    calls = classify_images(inputs, tmp_path / "calls[1].csv", OPTIONS)
    read = read_csv(tmp_path / "calls[1].csv", {"image": pl.String()})
    assert read["image"].to_list() == calls.calls["image"].to_list()


def test_results_of_one_image_do_not_lie_in_those_of_another(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "in" / "x").mkdir(parents=True)
    shutil.copy(images[0], tmp_path / "in" / "x.png")
    shutil.copy(images[1], tmp_path / "in" / "x" / "y.png")
    out = tmp_path / "out"
    assert count_images(find_images([tmp_path / "in"]), out, OPTIONS).failures == ()
    assert {path.parent for path in out.rglob("cells.csv")} == {out / "x.png", out / "x" / "y"}
    # What is done stays where it is, and then nothing is written into it.
    alone = tmp_path / "alone"
    assert count_images(find_images([tmp_path / "in" / "x.png"]), alone, OPTIONS).failures == ()
    inputs = [
        InputImage(image.path, image.path.relative_to(tmp_path / "in"))
        for image in find_images([tmp_path / "in" / "x.png", tmp_path / "in" / "x" / "y.png"])
    ]
    with pytest.raises(UsageError, match=r"x/y\.png would be written into 'x'"):
        count_images(inputs, alone, OPTIONS)
    assert not (alone / "x" / "y").exists()
    # One after the other, neither takes from the other.
    apart, force = tmp_path / "apart", RunOptions(mpp=0.25, force=True)
    (tmp_path / "in2" / "x").mkdir(parents=True)
    shutil.copy(images[1], tmp_path / "in2" / "x" / "y.png")
    count_images(find_images([tmp_path / "in2"]), apart, OPTIONS)
    assert count_images(find_images([tmp_path / "in" / "x.png"]), apart, force).failures == ()
    assert (apart / "x" / "y" / "cells.csv").is_file()
    assert (apart / "x" / "cells.csv").is_file()


def test_patterns_that_match_nothing_are_no_such_files_and_the_rest_is_done(tmp_path: Path) -> None:
    """A shell leaves such a pattern as it is; two of them share a name, but nothing is written of either."""
    good = tmp_path / "f.png"
    Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=3)).rgb).save(good)
    patterns = [tmp_path / "*.jpg", tmp_path / "*.tif"]
    inputs = find_images([*patterns, good])
    run = count_images(inputs, tmp_path / "run", OPTIONS)
    assert [Path(image).name for image, _ in run.fields] == ["f.png"]
    assert all("there is no such file" in failure.reason for failure in run.failures)
    assert len(run.failures) == 2
    assert len(extract_cells(inputs, tmp_path / "cut", OPTIONS).failures) == 2
    assert len(mask_images(inputs, tmp_path / "masks", MaskOptions(mpp=0.25)).failures) == 2
    done = run_program("count", *patterns, "--out", tmp_path / "none")
    assert done.returncode == 1
    assert "too few cells" not in done.stderr
