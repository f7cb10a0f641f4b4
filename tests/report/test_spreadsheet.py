"""The workbook and the CSV with decimal commas, opened again by readers that are not ours."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from erythron.files.tables import format_csv, parse_csv
from erythron.report.spreadsheet import write_xlsx

SUMMARY = pl.DataFrame(
    {
        "image": ["001", "=1+1.png", "https://a.example/f.png", "5µm;b.png"],
        "nucleated_cells": [154, 0, None, 7],
        "erythroid_percent": [53.24675324675325, None, 1e-9, -0.5],
    }
)
CELLS = pl.DataFrame(
    {"image": ["001"] * 5, "cell_id": [f"x{n}y{n}" for n in range(5)], "nc_ratio": [0.5] * 4 + [float("inf")]}
)


def read_sheet(path: Path, name: str) -> list[list[object]]:
    return [list(row) for row in openpyxl.load_workbook(path)[name].iter_rows(values_only=True)]


def test_a_reader_finds_the_tables_in_the_workbook(tmp_path: Path) -> None:
    path = tmp_path / "run.xlsx"
    write_xlsx(SUMMARY, CELLS, path)
    assert openpyxl.load_workbook(path).sheetnames == ["summary", "cells"]
    head, *rows = read_sheet(path, "summary")
    assert head == SUMMARY.columns
    assert rows == [list(row) for row in SUMMARY.iter_rows()]  # text stays text, figures keep every digit
    assert {type(row[0]) for row in rows} == {str}
    head, *rows = read_sheet(path, "cells")
    assert head == CELLS.columns
    assert rows[:4] == [list(row) for row in CELLS.head(4).iter_rows()]
    assert rows[4][2] is None  # not finite


def test_no_cell_is_a_formula_or_a_link(tmp_path: Path) -> None:
    path = tmp_path / "run.xlsx"
    write_xlsx(SUMMARY, CELLS, path)
    for sheet in openpyxl.load_workbook(path):
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" and cell.hyperlink is None for cell in row)


def test_cells_that_one_sheet_cannot_hold_go_on_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erythron.report.spreadsheet.SHEET_ROWS", 3)
    path = tmp_path / "run.xlsx"
    write_xlsx(SUMMARY, CELLS, path)
    assert openpyxl.load_workbook(path).sheetnames == ["summary", "cells", "cells 2", "cells 3"]
    ids = [row[1] for name in ("cells", "cells 2", "cells 3") for row in read_sheet(path, name)[1:]]
    assert ids == CELLS["cell_id"].to_list()


def test_a_run_without_cells_has_its_heads(tmp_path: Path) -> None:
    path = tmp_path / "run.xlsx"
    write_xlsx(SUMMARY.clear(), CELLS.clear(), path)
    assert read_sheet(path, "cells")[0] == CELLS.columns


def test_a_spreadsheet_with_decimal_commas_reads_the_same_figures() -> None:
    text = format_csv(SUMMARY, ",")
    head, *rows = csv.reader(io.StringIO(text.encode().decode("utf-8-sig")), delimiter=";")
    assert head == SUMMARY.columns
    # The one with a semicolon too, and one that would be a formula as text.
    assert [row[0].removeprefix("'") for row in rows] == SUMMARY["image"].to_list()
    assert sum(row[0].startswith("'=") for row in rows) == 1
    figures = [float(row[2].replace(",", ".")) if row[2] else None for row in rows]
    assert figures == SUMMARY["erythroid_percent"].to_list()
    assert not any("." in row[2] for row in rows)
    assert parse_csv(text.encode(), SUMMARY.schema).equals(SUMMARY)


def test_a_decimal_point_leaves_the_table_as_it_always_is() -> None:
    assert format_csv(SUMMARY).replace("'=", "=") == SUMMARY.write_csv()
