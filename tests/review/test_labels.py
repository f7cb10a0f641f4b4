"""Files of corrected labels are told apart, and a table that is none is refused by its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from erythron.errors import DataError
from erythron.report.spreadsheet import write_xlsx
from erythron.review.labels import EditedRow, read_corrections


def write(folder: Path, text: str, name: str = "cells.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_table_is_read_whatever_a_spreadsheet_parts_its_columns_by(tmp_path: Path, sign: str) -> None:
    text = "image,cell_id,label,flags\na.png,x1y2,lymphocyte,unclassified\nb.png,x1y2,other,\n\n"
    path = write(tmp_path, text.replace(",", sign), encoding="utf-8-sig")
    first, second = read_corrections(path)
    assert (first.image, first.source) == ("a.png", path)
    assert first.rows == (EditedRow("x1y2", None, "lymphocyte", "unclassified"),)
    assert second.rows == (EditedRow("x1y2", None, "other", ""),)


def test_a_workbook_is_read_from_the_sheets_that_are_tables_of_cells(tmp_path: Path) -> None:
    cells = pl.DataFrame(
        {
            "image": ["a.png"],
            "cell_id": ["x1y2"],
            "counted_as": ["other"],
            "flags": [None],
            "confidence": [0.5],
        }
    )
    write_xlsx(pl.DataFrame({"image": ["a.png"], "count_other": [1]}), cells, tmp_path / "cells.xlsx")
    [found] = read_corrections(tmp_path / "cells.xlsx")
    assert (found.image, found.rows) == ("a.png", (EditedRow("x1y2", "other", None, "", "0.5"),))
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="save it as xlsx again"):
        read_corrections(tmp_path / "broken.xlsx")
    write_xlsx(cells.drop("cell_id"), cells.drop("cell_id"), tmp_path / "none.xlsx")
    with pytest.raises(DataError, match="no table of cells"):
        read_corrections(tmp_path / "none.xlsx")


@pytest.mark.parametrize(
    ("how", "words"), [("merged", "C2:C3 is merged"), ("formula", "C3 is a formula"), ("blank", "")]
)
def test_calls_of_a_workbook_that_have_no_value_are_not_passed_over(
    how: str, words: str, tmp_path: Path
) -> None:
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for row in (("image", "cell_id", "counted_as"), ("a.png", "x1y2", "other"), ("a.png", "x3y4", None)):
        sheet.append(row)
    if how == "merged":
        sheet.merge_cells("C2:C3")
    if how == "formula":
        sheet["C3"] = '="lympho"&"cyte"'
    book.save(tmp_path / "cells.xlsx")
    if how == "blank":  # a reader may leave a call out
        assert [row.counted_as for row in read_corrections(tmp_path / "cells.xlsx")[0].rows] == ["other", ""]
        return
    with pytest.raises(DataError, match=rf"cells\.xlsx: sheet Sheet: {words}"):
        read_corrections(tmp_path / "cells.xlsx")


def test_names_with_a_comma_are_whole_and_columns_that_are_not_there_are_none(tmp_path: Path) -> None:
    [found] = read_corrections(write(tmp_path, 'cell_id,image,counted_as\nx1y2,"a, b.png",other\n'))
    assert found.image == "a, b.png"
    assert found.rows == (EditedRow("x1y2", "other", None, None),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no table"),
        ("image,label\na.png,other\n", "no table of cells"),
        ("image,cell_id\na.png,x1y2\n", "no table of cells"),
        ("image,cell_id,label\na.png,x1y2,other\na.png,x1y2,other\n", "row 3: cell x1y2 stands in two rows"),
        ('image,cell_id,label\na.png,"x1y2,other\n', "save the table as CSV again"),
    ],
)
def test_a_table_that_cannot_be_taken_is_refused_with_the_next_step(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_corrections(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        read_corrections(tmp_path / "gone.csv")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_what_a_spreadsheet_writes_in_another_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "image,cell_id,label\nMärz.png,x1y2,other\n", encoding=encoding)
    assert read_corrections(path)[0].image == "März.png"
