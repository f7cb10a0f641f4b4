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
    found = json.loads(CliRunner().invoke(app, ["compare", str(a), str(b), "--json"]).stdout)
    assert found["cells"]["same_call"]["value"] == 1.0
