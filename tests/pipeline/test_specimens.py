"""Fields of one specimen are counted together, and those of another never with them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from erythron.cli import app
from erythron.compare.results import compare_results, read_results
from erythron.differential.counts import Differential
from erythron.errors import DataError, UsageError
from erythron.pipeline.count import count_images, count_specimens
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.pipeline.specimens import NotListed, Specimen, find_not_listed, group_images, list_not_given
from erythron.quality.flags import is_provisional
from erythron.read.inputs import InputImage, find_images
from erythron.results.convert import ExportFormat, convert_run
from erythron.results.repeated import drop_repeated
from erythron.synthetic.field import DrawnFieldSpec, draw_field

OPTIONS = RunOptions(mpp=0.25)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients of two fields; the first fields of all have one file name."""
    folder = tmp_path_factory.mktemp("patients")
    for patient in range(3):
        (folder / f"00{patient}").mkdir()
        for field in range(2):
            drawn = draw_field(DrawnFieldSpec(180, 150, seed=10 * patient + field))
            Image.fromarray(drawn.rgb).save(folder / f"00{patient}" / f"f{field}.png")
    return folder


@pytest.fixture(scope="module")
def counted(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "run"
    specimens = group_images(find_images([patients]), "folder")
    assert all(not run.failures for run in count_specimens(specimens, out, OPTIONS))
    return out


def read_total(folder: Path) -> dict[str, int]:
    """Cells by class of all fields of a specimen, added up from their own differentials."""
    found = [Differential.from_json(p.read_text()) for p in sorted(folder.glob("*/differential.json"))]
    return {
        c.name: sum(next(x.count for x in d.classes if x.name == c.name) for d in found)
        for c in found[0].classes
    }


def test_each_folder_is_a_specimen_with_a_report_of_its_own(counted: Path) -> None:
    for name in ("000", "001", "002"):
        assert {p.name for p in (counted / name).iterdir()} == {
            "f0",
            "f1",
            "summary.csv",
            "report.html",
            "run.json",
        }
        assert f"Erythroid differential: {name}" in (counted / name / "report.html").read_text()
    assert {p.name for p in counted.iterdir()} == {"000", "001", "002", "summary.csv", "run.json"}


def test_the_summary_has_a_row_a_specimen_and_names_stay_text(counted: Path) -> None:
    summary = pl.read_csv(counted / "summary.csv", schema_overrides={"specimen": pl.String})
    assert summary["specimen"].to_list() == ["000", "001", "002"]
    assert summary["fields"].to_list() == [2, 2, 2]
    for row in summary.iter_rows(named=True):
        total = read_total(counted / row["specimen"])
        assert {name: row[f"count_{name}"] for name in total} == total
    assert summary["nucleated_cells"].n_unique() > 1


def test_the_summary_says_how_many_fields_are_counted_and_how_many_are_not(
    patients: Path, tmp_path: Path
) -> None:
    coarse, fine = find_images([patients / "000"])
    lost = InputImage(patients / "000" / "none.png", Path("none.png"))
    specimen = Specimen("000", (replace(coarse, mpp=0.6), fine, lost), Path("000"))
    [run] = count_specimens([specimen], tmp_path, OPTIONS)
    assert len(run.fields) == 2
    row = pl.read_csv(tmp_path / "summary.csv").row(0, named=True)
    assert (row["fields"], row["uncounted_fields"], row["failed_images"]) == (1, 1, 1)
    of_images = pl.read_csv(tmp_path / "000" / "summary.csv")
    assert of_images["status"].to_list() == ["done", "done", "failed"]
    assert "no cell is counted" in of_images["reason"][0]
    assert of_images["reason"][1] is None


def test_specimens_are_compared_by_name(counted: Path) -> None:
    for given in (counted, counted / "summary.csv"):
        found = compare_results(given, counted / "summary.csv" if given == counted else given)
        assert {share.specimens for share in found.shares} == {3}


def test_a_table_groups_images_and_its_other_columns_are_kept(patients: Path, tmp_path: Path) -> None:
    images = find_images([patients])
    rows = [
        f"{i.path.parent.name}/{i.path.name},{'01' if i.path.parent.name != '002' else '1'},MGG"
        for i in images
    ]
    (tmp_path / "s.csv").write_text("image,specimen,stain\n" + "\n".join(rows) + "\n")
    specimens = group_images(images, str(tmp_path / "s.csv"))
    assert [(s.name, len(s.images), dict(s.details)) for s in specimens] == [
        ("01", 4, {"stain": "MGG"}), ("1", 2, {"stain": "MGG"}),
    ]  # fmt: skip


def test_a_row_whose_picture_is_not_there_fails_and_one_that_was_not_given_is_said(
    patients: Path, tmp_path: Path
) -> None:
    table = tmp_path / "s.csv"
    names = ("000/f0.png", "000/f1.png", "000/fO.png", "001/typing-error.png")
    table.write_text("image,specimen\n" + "".join(f"{name},{name[:3]}\n" for name in names))
    images = [image for image in find_images([patients / "000"]) if image.path.name == "f0.png"]
    specimens = group_images(images, str(table))
    assert [(s.name, [image.name for image in s.images]) for s in specimens] == [
        ("000", [images[0].name, "000/fO.png"]),
        ("001", ["001/typing-error.png"]),
    ]
    assert list_not_given(images, str(table)) == (
        f"{table}: 000/f1.png has a row and was not given, so it is in no count",
    )
    assert list_not_given(images, "folder") == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,patient\na.png,1\n", "no column specimen"),
        ("image,specimen\n000/f0.png,\n", "no image or no specimen"),
        ("image,specimen\n009/g0.png,a\n", "has no row for .*f0.png and the other 5 images"),
        ("image,specimen\n000/f0.png,a\n000/f0.png,b\n", "more than once"),
        ("image,specimen\n000/f0.png,../a\n", "cannot be the name of a folder"),
    ],
)
def test_a_table_that_does_not_say_whose_each_image_is_is_refused(
    text: str, reason: str, patients: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(text)
    images = find_images([patients])
    if "../a" in text:
        images = images[:1]
    with pytest.raises(DataError, match=reason):
        group_images(images, str(tmp_path / "s.csv"))


def test_images_that_a_table_does_not_list_are_named_and_the_others_are_done(
    patients: Path, tmp_path: Path
) -> None:
    shutil.copytree(patients, tmp_path / "in")
    table = tmp_path / "s.csv"
    table.write_text("image,specimen\n001/f0.png,A\n")
    images = find_images([tmp_path / "in"])
    assert [(s.name, [i.path.name for i in s.images]) for s in group_images(images, str(table))] == [
        ("A", ["f0.png"])
    ]
    command = ["count", str(tmp_path / "in"), "--out", str(tmp_path / "run"), "--mpp", "0.25"]
    command += ["--specimen", str(table), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    [said] = [line for line in done.stderr.splitlines() if "has no row" in line]
    others = [image.name for image in images if "001/f0" not in image.name]
    assert all(name in said for name in others)
    assert said.endswith("which are in no count; add a row for each and count again")
    told = json.loads(done.stdout)
    assert told["not_listed"] == others
    assert [(s["specimen"], len(s["fields"])) for s in told["specimens"]] == [("A", 1)]
    # A row that is added is counted into the same run, and then nothing is missing.
    table.write_text("".join(["image,specimen\n", *(f"{name},A\n" for name in [*others, images[2].name])]))
    assert find_not_listed(images, str(table)) is None
    table.write_text(f"image,specimen\n{images[2].name},A\n{images[0].name},A\n")
    runs = count_specimens(group_images(images, str(table)), tmp_path / "run", OPTIONS)
    assert [len(run.fields) for run in runs] == [2]


def test_many_images_that_a_table_does_not_list_stay_on_one_line() -> None:
    said = str(NotListed("s.csv", tuple(f"f{i}.png" for i in range(30))))
    assert "f9.png and 20 more images" in said
    assert str(NotListed("s.csv", ("a.png",))) == (
        "s.csv: has no row for a.png, which is in no count; add a row and count again"
    )


def test_two_folders_of_one_name_are_no_one_specimen(patients: Path, tmp_path: Path) -> None:
    shutil.copytree(patients / "000", tmp_path / "other" / "000")
    images = find_images([patients / "000", tmp_path / "other" / "000"])
    with pytest.raises(UsageError, match="would both be the specimen '000'"):
        group_images(images, "folder")


def test_a_field_is_added_and_the_others_are_kept(patients: Path, tmp_path: Path) -> None:
    own = tmp_path / "in"
    for name in ("000", "001"):
        shutil.copytree(patients / name, own / name)
    added = own / "001" / "f9.png"
    shutil.move(own / "001" / "f1.png", added)
    first = group_images([i for i in find_images([own]) if i.path != added], "folder")
    count_specimens(first, tmp_path / "run", OPTIONS)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("cells.csv")}
    others = {p: p.read_bytes() for p in (tmp_path / "run").rglob("cells.csv")}
    runs = count_specimens(group_images(find_images([own]), "folder"), tmp_path / "run", OPTIONS)
    assert [len(run.fields) for run in runs] == [2, 2]
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert {p: p.read_bytes() for p in others} == others
    with pytest.raises(UsageError, match="over other images"):
        count_specimens(first, tmp_path / "run", OPTIONS)


def test_a_copy_in_another_file_is_counted_once_and_said(
    patients: Path, counted: Path, tmp_path: Path
) -> None:
    own = tmp_path / "in"
    shutil.copytree(patients / "000", own)
    Image.open(own / "f0.png").save(own / "g.bmp")
    shutil.copy(own / "f0.png", own / "h.png")
    run = count_images(find_images([own]), tmp_path / "run", OPTIONS)
    assert run.failures == ()
    alone = [Differential.from_json(p.read_text()) for p in (counted / "000").glob("*/differential.json")]
    assert run.differential.nucleated_cells == sum(found.nucleated_cells for found in alone)
    assert len(run.fields) == 2
    [flag] = [flag for flag in run.differential.flags if flag.name == "repeated_images"]
    assert "g.bmp as f0.png, h.png as f0.png" in flag.text
    assert flag.text in (tmp_path / "run" / "report.html").read_text().replace("\n", " ")
    summary = pl.read_csv(tmp_path / "run" / "summary.csv")
    assert summary["status"].to_list() == ["done", "done", "repeated", "repeated"]
    assert "same pixels as" in summary["reason"][2]


def test_a_copy_that_sorts_before_a_reviewed_picture_does_not_take_its_calls(
    patients: Path, tmp_path: Path
) -> None:
    own, out = tmp_path / "in", tmp_path / "run"
    shutil.copytree(patients / "000", own)
    count_images(find_images([own]), out, OPTIONS)
    cells = pl.read_csv(out / "f0" / "cells.csv")
    cells.with_columns(label=pl.lit("monocyte")).write_csv(tmp_path / "labels.csv")
    recount(out, [tmp_path / "labels.csv"], Reading("a reader", datetime.now(UTC), confirms_all=True))
    alone = count_images(find_images([own]), out, OPTIONS)
    assert alone.review is not None
    assert alone.review.confirmed == cells.height
    shutil.copy(own / "f0.png", own / "a copy of f0.png")
    shutil.copy(own / "f0.png", own / "b.png")
    run = count_images(find_images([own]), out, OPTIONS)
    assert run.review is not None
    assert run.review.confirmed == cells.height
    assert run.differential.classes == alone.differential.classes
    summary = pl.read_csv(out / "summary.csv")
    assert summary["status"].to_list() == ["repeated", "repeated", "done", "done"]
    assert all("f0.png" in reason for reason in summary["reason"][:2])
    # Exports and comparisons take each picture once, too, and the one with its calls.
    taken = drop_repeated([path.parent for path in sorted(out.rglob("record.json"))], out)
    assert [folder.name for folder in taken] == ["f0", "f1"]
    convert_run(out, ExportFormat.CSV, tmp_path / "cells.csv")
    exported = pl.read_csv(tmp_path / "cells.csv")
    assert exported.height == cells.height + pl.read_csv(out / "f1" / "cells.csv").height
    read = read_results(out).cells
    assert read is not None
    assert read["image"].n_unique() == 2


def test_the_command_prints_a_line_a_specimen(patients: Path, counted: Path, tmp_path: Path) -> None:
    shutil.copytree(counted, tmp_path / "run")
    arguments = [
        "count",
        str(patients),
        "--out",
        str(tmp_path / "run"),
        "--mpp",
        "0.25",
        "--specimen",
        "folder",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for name in ("000", "001", "002"):
        assert name in done.stdout
    told = CliRunner().invoke(app, [*arguments, "--json"])
    assert [s["specimen"] for s in json.loads(told.stdout)["specimens"]] == ["000", "001", "002"]


def test_a_picture_of_another_specimen_is_said_and_makes_the_count_provisional(
    patients: Path, tmp_path: Path
) -> None:
    for name in ("000", "001", "002"):
        (tmp_path / "in" / name).mkdir(parents=True)
        shutil.copy(patients / name / "f0.png", tmp_path / "in" / name)
    shutil.copy(tmp_path / "in/000/f0.png", tmp_path / "in/002/f7.png")
    runs = count_specimens(group_images(find_images([tmp_path / "in"]), "folder"), tmp_path / "run", OPTIONS)
    named = [
        [flag for flag in r.differential.flags if flag.name == "image_of_another_specimen"] for r in runs
    ]
    # Both are told, the first one too, and each report says it.
    assert [len(flags) for flags in named] == [1, 0, 1]
    assert "f0.png as" in named[0][0].text
    assert "f7.png of 002; find out whose they are" in named[0][0].text
    for name in ("000", "002"):
        assert "of another specimen" in (tmp_path / "run" / name / "report.html").read_text()
    [flag] = named[2]
    assert "f7.png as" in flag.text
    assert "f0.png of 000; find out whose they are" in flag.text
    assert is_provisional([flag])


def test_a_further_column_with_the_name_of_one_of_the_summary_is_refused(
    patients: Path, tmp_path: Path
) -> None:
    table = tmp_path / "specimens.csv"
    table.write_text(f"image,specimen,nucleated_cells\n{patients}/000/f0.png,a,5\n")
    specimens = group_images(find_images([patients / "000/f0.png"]), str(table))
    with pytest.raises(UsageError, match="nucleated_cells, which the summary has too"):
        count_specimens(specimens, tmp_path / "run", OPTIONS)
