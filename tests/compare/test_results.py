"""Results read and matched for a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cli import app
from erythron.compare.results import compare_results
from erythron.differential.assemble import DifferentialSettings, make_differential_from_counts
from erythron.differential.counts import CellCounts
from erythron.errors import DataError, UsageError
from erythron.files.tables import format_csv


def write_cells(path: Path, rows: list[tuple[str, float, float, str, str]], *, ids: bool = True) -> Path:
    table = pl.DataFrame(rows, schema=["image", "x_px", "y_px", "label", "flags"], orient="row")
    table = table.with_columns(pl.lit(20).alias("width_px"), pl.lit(20).alias("height_px"))
    if ids:
        table = table.with_columns(pl.int_range(1, pl.len() + 1).alias("cell_id"))
    table.write_csv(path)
    return path


def test_cells_are_matched_by_place_not_by_number(tmp_path: Path) -> None:
    a = write_cells(
        tmp_path / "a.csv",
        [("x/1.png", 50, 50, "rubriblast", ""), ("x/1.png", 100, 50, "orthochromic", "")],
    )
    b = write_cells(
        tmp_path / "b.csv",
        [
            ("y/1.png", 104, 52, "orthochromatic_erythroblast", ""),
            ("y/1.png", 52, 47, "basophilic_erythroblast", ""),
            ("y/1.png", 300, 300, "granulocyte", ""),
            ("y/1.png", 111, 50, "granulocyte", "left_out"),
        ],
    )
    found = compare_results(a, b).cells
    assert found is not None
    assert (found.matched, found.only_a, found.only_b) == (2, 0, 1)
    assert found.same_stage.value == 0.5
    assert found.within_one_stage.value == 1.0


def test_cells_too_far_apart_are_not_one_cell(tmp_path: Path) -> None:
    a = write_cells(tmp_path / "a.csv", [("1.png", 50, 50, "granulocyte", "")])
    b = write_cells(tmp_path / "b.csv", [("1.png", 50, 61, "granulocyte", "")])
    with pytest.raises(DataError, match="no cell in common"):
        compare_results(a, b)


def test_single_cell_images_are_matched_by_name_and_unclassified_is_a_call(tmp_path: Path) -> None:
    for name, flags in (("a", ""), ("b", "unclassified")):
        pl.DataFrame(
            {"image": ["1.png", "2.png", "3.png"], "label": ["lymphocyte"] * 2 + [None], "flags": flags}
        ).write_csv(tmp_path / f"{name}.csv")
    found = compare_results(tmp_path / "a.csv", tmp_path / "b.csv").cells
    assert found is not None
    assert found.names == ("lymphocyte", "unclassified")
    assert found.table == ((0, 2), (0, 0))


def test_counts_of_specimens_are_compared(tmp_path: Path) -> None:
    for name, counts in (("a", (1, 2, 30, 40, 90, 9, 9, 9, 9, 5)), ("b", (2, 2, 28, 41, 92, 9, 9, 9, 9, 0))):
        found = make_differential_from_counts(
            CellCounts(DEFAULT_CLASSES, counts, 3), DifferentialSettings(DEFAULT_CLASSES)
        )
        (tmp_path / name).mkdir()
        (tmp_path / name / "differential.json").write_text(found.to_json())
    found = compare_results(tmp_path / "a" / "differential.json", tmp_path / "b" / "differential.json")
    assert found.cells is None
    assert {s.name for s in found.shares} >= {"granulocyte", "unclassified"}
    assert "platelet" not in {s.name for s in found.shares}
    assert all(s.within_limits == s.specimens == 1 for s in found.shares)


def test_summaries_of_several_images_give_a_line(tmp_path: Path) -> None:
    for name, factor in (("a", 1), ("b", 2)):
        pl.DataFrame(
            {
                "image": ["1.png", "2.png", "3.png", "4.png"],
                "unclassified_cells": 0,
                "count_granulocyte": [10 * factor, 20 * factor, 30 * factor, None],
                "count_lymphocyte": [90 * factor, 80 * factor, 70 * factor, None],
            }
        ).write_csv(tmp_path / f"{name}.csv")
    found = compare_results(tmp_path / "a.csv", tmp_path / "b.csv").shares
    assert [s.specimens for s in found] == [3, 3]
    line = found[0].passing_bablok
    assert line is not None
    assert (line.slope, line.intercept) == pytest.approx((1.0, 0.0))


def test_cells_and_counts_of_other_images_are_wrong_usage(tmp_path: Path) -> None:
    a = write_cells(tmp_path / "a.csv", [("1.png", 50, 50, "granulocyte", "")])
    (tmp_path / "b.csv").write_text("image,unclassified_cells,count_granulocyte\n2.png,0,5\n3.png,0,5\n")
    with pytest.raises(UsageError, match="cells with cells"):
        compare_results(a, tmp_path / "b.csv")


def write_summary(path: Path, counts: dict[str, tuple[int, int]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{image},0,{n},{m}\n" for image, (n, m) in counts.items()]
    path.write_text("image,unclassified_cells,count_granulocyte,count_lymphocyte\n" + "".join(rows))
    return path


def test_specimens_of_one_file_name_stay_two(tmp_path: Path) -> None:
    a = write_summary(tmp_path / "a.csv", {"in/p1/f.png": (10, 90), "in/p2/f.png": (90, 10)})
    b = write_summary(tmp_path / "b.csv", {"new/p2/f.png": (90, 10), "new/p1/f.png": (50, 50)})
    found = compare_results(a, b)
    assert [(s.name, s.specimens, s.within_limits) for s in found.shares] == [
        ("granulocyte", 2, 1),
        ("lymphocyte", 2, 1),
    ]
    assert found.renamed == (("in/p1/f.png", "new/p1/f.png"), ("in/p2/f.png", "new/p2/f.png"))
    write_summary(b, {"f.png": (50, 50), "g.png": (1, 1)})
    with pytest.raises(DataError, match=r"f\.png may be in/p1/f\.png or in/p2/f\.png"):
        compare_results(a, b)
    b.write_text(b.read_text() + "g.png,0,2,2\n")
    with pytest.raises(DataError, match=r"g\.png stands in two rows"):
        compare_results(a, b)


def test_cells_of_images_of_one_file_name_are_not_mixed(tmp_path: Path) -> None:
    a = write_cells(
        tmp_path / "a.csv",
        [("in/p1/f.png", 50, 50, "granulocyte", ""), ("in/p2/f.png", 50, 50, "lymphocyte", "")],
    )
    b = write_cells(
        tmp_path / "b.csv",
        [("x/p2/f.png", 50, 50, "lymphocyte", ""), ("x/p1/f.png", 50, 50, "granulocyte", "")],
    )
    found = compare_results(a, b)
    assert found.cells is not None
    assert (found.cells.matched, found.cells.images, found.cells.same_call.value) == (2, 2, 1.0)
    assert [(s.name, s.specimens) for s in found.shares] == [("granulocyte", 2), ("lymphocyte", 2)]


def test_runs_in_one_folder_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for side, labels in (("a", ("granulocyte", "lymphocyte")), ("b", ("granulocyte", "granulocyte"))):
        for run, label in zip(("p1", "p2"), labels, strict=True):
            (tmp_path / side / run / "f").mkdir(parents=True)
            rows = [("f.png", 50.0, 50.0, label, ""), ("f.png", 90.0, 50.0, "monocyte", "")]
            write_cells(tmp_path / side / run / "f" / "cells.csv", rows)
    found = compare_results(tmp_path / "a", tmp_path / "b")
    assert found.cells is not None
    assert (found.cells.matched, found.cells.images, found.cells.same_call.value) == (4, 2, 0.75)
    assert {s.specimens for s in found.shares} == {2}
    one = compare_results(tmp_path / "a" / "p1", tmp_path / "b" / "p1")
    assert one.cells is not None
    assert one.cells.matched == 2
    with pytest.raises(DataError, match=r"f\.png may be p1/f\.png or p2/f\.png"):
        compare_results(tmp_path / "a", tmp_path / "b" / "p1")


def write_run(folder: Path, fields: int, specimens: tuple[str, ...] = ()) -> Path:
    """Write a run of so many fields, or several specimens of so many each."""
    for name in specimens or (".",):
        for number in range(fields):
            (folder / name / f"f{number}").mkdir(parents=True)
            labels = ["lymphocyte"] * (number + 1) + ["monocyte"] * 3
            rows = [(f"{name}/f{number}.png", 50.0 * i, 50.0, label, "") for i, label in enumerate(labels)]
            write_cells(folder / name / f"f{number}" / "cells.csv", rows)
        (folder / name / "run.json").write_text("{}")
    (folder / "run.json").write_text("{}")
    return folder


def test_fields_of_one_specimen_have_no_limits_of_agreement(tmp_path: Path) -> None:
    run, whole = write_run(tmp_path / "run", 4), tmp_path / "reader.csv"
    found = compare_results(run, run)
    assert found.cells is not None
    assert found.cells.images == 4
    assert {(s.specimens, s.bland_altman, s.passing_bablok) for s in found.shares} == {(1, None, None)}
    # A reader's table over two of its fields is of that one specimen too, and of these two fields.
    pl.concat([pl.read_csv(run / name / "cells.csv") for name in ("f1", "f2")]).write_csv(whole)
    with_reader = compare_results(run, whole)
    assert {s.within_limits for s in with_reader.shares} == {s.specimens for s in with_reader.shares} == {1}
    text = CliRunner().invoke(app, ["compare", str(run), str(whole)]).stdout
    assert "are of 3 specimens or more; here they are 1" in text
    pair = write_run(tmp_path / "pair", 4, ("p1", "p2"))
    assert {(s.specimens, s.bland_altman) for s in compare_results(pair, pair).shares} == {(2, None)}
    three = compare_results(*[write_run(tmp_path / "three", 2, ("p1", "p2", "p3"))] * 2)
    assert all(s.specimens == 3 and s.bland_altman is not None for s in three.shares)
    assert not three.is_by_image


def test_specimens_whose_images_lie_elsewhere_are_compared(tmp_path: Path) -> None:
    """Equal names of specimens keep no image from being found by the end of its path."""
    one = write_run(tmp_path / "one", 2, ("p1", "p2"))
    other = write_run(tmp_path / "other", 2, ("p1", "p2"))
    for file in other.rglob("cells.csv"):
        file.write_text(file.read_text().replace("p1/", "moved/p1/").replace("p2/", "moved/p2/"))
    found = compare_results(one, other)
    assert found.cells is not None
    assert found.cells.only_a == found.cells.only_b == 0
    assert {s.specimens for s in found.shares} == {2}


def test_images_of_no_known_specimen_are_said_to_stand_for_one(tmp_path: Path) -> None:
    table = write_summary(tmp_path / "a.csv", {f"{n}.png": (10 + n, 90) for n in range(3)})
    assert compare_results(table, table).is_by_image
    assert (
        "Each image stands for a specimen."
        in CliRunner().invoke(app, ["compare", str(table), str(table)]).stdout
    )


def test_two_tables_of_one_image_in_a_run_are_refused(tmp_path: Path) -> None:
    for name in ("f", "f_again"):
        (tmp_path / "run" / name).mkdir(parents=True)
        write_cells(tmp_path / "run" / name / "cells.csv", [("f.png", 50, 50, "monocyte", "")])
    with pytest.raises(DataError, match=r"both of the image f\.png"):
        compare_results(tmp_path / "run", tmp_path / "run")


@pytest.mark.parametrize("text", ["image,label\n1.png,megakaryoblast\n", "image,kind\n1.png,x\n", ""])
def test_what_cannot_be_compared_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.csv"):
        compare_results(path, path)
    with pytest.raises(DataError, match=r"cells\.csv"):
        compare_results(tmp_path, tmp_path)


def test_the_command_prints_text_and_strict_json(tmp_path: Path) -> None:
    rows = [("1.png", 50.0 * i, 50.0, "granulocyte" if i % 2 else "basophilic", "") for i in range(6)]
    a, b = (write_cells(tmp_path / f"{name}.csv", rows) for name in "ab")
    text = CliRunner().invoke(app, ["compare", str(a), str(b)])
    assert text.exit_code == 0
    assert "6 cells matched" in text.stdout
    assert "by the end of the path" not in text.stdout
    moved = write_cells(tmp_path / "moved.csv", [(f"x/{image}", *place) for image, *place in rows])  # type: ignore[arg-type]
    text = CliRunner().invoke(app, ["compare", str(a), str(moved)])
    assert "One image or specimen is matched by the end of the path, such as 1.png of A" in text.stdout
    bracketed = write_cells(tmp_path / "b[new].csv", rows)
    assert "b[new].csv" in CliRunner().invoke(app, ["compare", str(a), str(bracketed)]).stdout
    found = json.loads(CliRunner().invoke(app, ["compare", str(a), str(b), "--json"]).stdout)
    assert found["cells"]["same_call"]["value"] == 1.0
    c = write_cells(tmp_path / "Müller.csv", rows)
    printed = CliRunner().invoke(app, ["compare", str(a), str(c), "--json"]).stdout
    assert printed.isascii()
    assert json.loads(printed)["b"] == str(c)


@pytest.mark.parametrize("edited", ["counted_as", "label"])
def test_an_edited_table_is_compared_by_what_the_person_wrote(edited: str, tmp_path: Path) -> None:
    """Its edits were passed over: a count compared with a reader's table of it agreed in every cell."""
    names = ["lymphocyte", "plasma_cell"]
    table = pl.DataFrame(
        {
            "image": ["a.png"] * 4,
            "cell_id": ["c1", "c2", "c3", "c4"],
            "label": ["lymphocyte", "lymphocyte", "plasma_cell", "plasma_cell"],
            "prob_lymphocyte": [0.9, 0.6, 0.1, 0.2],
            "prob_plasma_cell": [0.1, 0.4, 0.9, 0.8],
            "confirmed_as": [None, None, None, "lymphocyte"],
            "counted_as": ["lymphocyte", "unclassified", "plasma_cell", "lymphocyte"],
            "flags": ["", "unclassified", "", ""],
        },
        schema_overrides={"confirmed_as": pl.String},
    )
    table.write_csv(tmp_path / "count.csv")
    here = pl.col("cell_id").is_in(["c1", "c2"])
    table.with_columns(pl.when(here).then(pl.lit("plasma_cell")).otherwise(edited).alias(edited)).write_csv(
        tmp_path / "edited.csv"
    )
    same = compare_results(tmp_path / "count.csv", tmp_path / "count.csv").cells
    assert same is not None
    assert same.same_call.value == 1.0
    found = compare_results(tmp_path / "count.csv", tmp_path / "edited.csv").cells
    assert found is not None
    called = {name: found.names.index(name) for name in (*names, "unclassified")}
    assert found.table[called["lymphocyte"]][called["plasma_cell"]] == 1
    assert found.table[called["unclassified"]][called["plasma_cell"]] == 1
    assert found.table[called["lymphocyte"]][called["lymphocyte"]] == 1  # c4, as confirmed
    removed = table.with_columns(pl.when(here).then(pl.lit("not_a_cell")).otherwise(edited).alias(edited))
    removed.write_csv(tmp_path / "removed.csv")
    found = compare_results(tmp_path / "count.csv", tmp_path / "removed.csv").cells
    assert found is not None
    assert (found.matched, found.only_a) == (2, 2)


def test_a_field_without_a_cell_is_compared(tmp_path: Path) -> None:
    rows = [("a.png", 10.0, 10.0, "lymphocyte", ""), ("a.png", 90.0, 10.0, "monocyte", "")]
    for run in ("one", "other"):
        for name in ("a", "b"):
            (tmp_path / run / name).mkdir(parents=True)
        write_cells(tmp_path / run / "a" / "cells.csv", rows)
        write_cells(tmp_path / run / "b" / "cells.csv", [])
    found = compare_results(tmp_path / "one", tmp_path / "other")
    assert found.cells is not None
    assert (found.cells.matched, found.cells.only_a, found.cells.only_b) == (2, 0, 0)


def test_tables_with_a_decimal_comma_are_compared(tmp_path: Path) -> None:
    rows = [("a.png", 10.5, 10.0, "lymphocyte", ""), ("a.png", 90.25, 10.0, "monocyte", "")]
    one = write_cells(tmp_path / "one.csv", rows)
    other = tmp_path / "other.csv"
    other.write_text(format_csv(pl.read_csv(one), ","), encoding="utf-8")
    found = compare_results(one, other)
    assert found.cells is not None
    assert (found.cells.matched, found.cells.same_call.value) == (2, 1.0)
    spreadsheet = tmp_path / "counts.csv"
    spreadsheet.write_text("specimen;count_lymphocyte;count_monocyte\np1;3;7,0\n")
    plain = tmp_path / "plain.csv"
    plain.write_text("specimen,count_lymphocyte,count_monocyte\np1,3,7\n")
    assert [line.within_limits for line in compare_results(spreadsheet, plain).shares] == [1, 1]
