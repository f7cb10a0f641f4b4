"""Tables for a spreadsheet: a workbook with summary and cells; CSV is made by ``files.tables``.

In: the tables that are written as ``summary.csv`` and ``cells.csv``. Out: the same columns and rows. Text
stays text: a file name is never a formula, an identity such as ``001`` never a number.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from erythron.files.writing import write_file

SHEET_ROWS = 1_048_576
"""Rows of one sheet, the head among them: the limit of the format (ECMA-376, and of Excel)."""


_NAMING = ("image", "specimen", "cell_id")
"""Columns that say which cell a row is of: they stay in view."""


def write_xlsx(summary: pl.DataFrame, cells: pl.DataFrame, path: Path) -> None:
    """Write a workbook with the sheets ``summary`` and ``cells``.

    Cells beyond :data:`SHEET_ROWS` go on in sheets ``cells 2``, ``cells 3`` and so on.

    Args:
        summary: a row an image or a specimen.
        cells: a row a cell.
        path: where to; the file appears when it is whole.
    """
    from xlsxwriter import Workbook

    buffer = BytesIO()
    as_text: dict[str, Any] = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    options = {"in_memory": True, **as_text}
    with Workbook(buffer, options) as workbook:
        _drop_infinite(summary).write_excel(workbook, "summary", freeze_panes=(1, 1))
        rows = SHEET_ROWS - 1
        named = sum(name in _NAMING for name in cells.columns)
        for number, start in enumerate(range(0, max(cells.height, 1), rows), 1):
            name = "cells" if number == 1 else f"cells {number}"
            _drop_infinite(cells.slice(start, rows)).write_excel(workbook, name, freeze_panes=(1, named))
    write_file(path, buffer.getvalue())


def _drop_infinite(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with empty cells where a figure is not finite, for which a workbook has no value."""
    return table.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name)
        for name, kind in table.schema.items()
        if kind.is_float()
    )
