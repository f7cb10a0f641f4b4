"""Tables as files: the one place that reads a CSV or Parquet file, and that makes CSV text.

Polars takes a path for a pattern (``*``, ``?``, ``[ ]``) and refuses names that are not UTF-8, so it is given
bytes. A spreadsheet takes text that begins with ``=`` for a formula, so such text is written behind an
apostrophe, which is taken off when it is read.
"""

from __future__ import annotations

import codecs
import io
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, Literal

import polars as pl

from erythron.files.reading import read_content
from erythron.files.writing import write_file

BOM = "\ufeff"
"""Without it Excel reads UTF-8 as the code page of the country, and µ as two other letters."""

_FORMULA = r"^('*[=+\-@\t\r])"
"""What a spreadsheet may compute: the beginnings that OWASP's page on CSV injection names."""
_WITH_COMMA = re.compile(rb"(?:^|;)-?\d+,\d", re.MULTILINE)
_READ_PARQUET = "import io, sys, polars; polars.read_parquet(io.BytesIO(sys.stdin.buffer.read()))"
_ESCAPED = r"^'('*[=+\-@\t\r])"


def format_csv(table: pl.DataFrame, decimal: Literal[".", ","] = ".") -> str:
    """Return a table as CSV.

    Args:
        table: the table. Text that a spreadsheet would compute gets an apostrophe before it.
        decimal: sign before the decimals. With a comma the columns are parted by semicolons and the text
            begins with a byte order mark, as a spreadsheet of such a country expects of a file it opens.
    """
    # Numbers and what is made of them stay: only text may be a formula.
    table = table.with_columns(pl.col(pl.String).str.replace(_FORMULA, "'${1}"))
    if decimal == ".":
        return table.write_csv()
    return BOM + table.write_csv(separator=";", decimal_comma=True)


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV, see :func:`format_csv`; the file appears when it is whole."""
    write_file(path, format_csv(table))


def write_parquet(table: pl.DataFrame, path: Path) -> None:
    """Write a table as Parquet; the file appears when it is whole."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    write_file(path, buffer.getvalue())


def read_csv(
    path: Path, types: Mapping[str, pl.DataType] | None = None, *, all_text: bool = False
) -> pl.DataFrame:
    """Read a CSV file of erythron, or of a person or spreadsheet, see :func:`parse_csv`.

    Raises:
        OSError: the file is not there, may not be read, or is a folder, pipe or device.
        polars.exceptions.PolarsError: it is no table, or a column holds what is not of its type.
    """
    return parse_csv(read_content(path), types, all_text=all_text)


def parse_csv(
    content: bytes, types: Mapping[str, pl.DataType] | None = None, *, all_text: bool = False
) -> pl.DataFrame:
    """Return the table of a CSV text.

    Columns parted by semicolons, as spreadsheets write them in countries with a decimal comma, or by tabs are
    told by the first line; with semicolons decimals have a comma or a point. Text that is no UTF-8 is read as
    UTF-16 where it has that mark, else in the code page of Western European Windows, as its spreadsheets
    write it.

    Args:
        content: the text, with or without a byte order mark.
        types: of columns, by name; the others are guessed from all rows. Types of columns that the table
            lacks say nothing.
        all_text: guess nothing: every other column is text.

    Raises:
        polars.exceptions.PolarsError: it is no table, or a column holds what is not of its type.
    """
    content = _recode(content).removeprefix(BOM.encode())
    head = content.split(b"\n", 1)[0]
    separator = max(",;\t", key=lambda sign: head.count(sign.encode()))
    options: dict[str, Any] = {"separator": separator}
    if separator == ";":
        options["decimal_comma"] = bool(_WITH_COMMA.search(content))
    try:
        table = pl.read_csv(
            content,
            schema_overrides=dict(types or {}),
            infer_schema=not all_text,
            infer_schema_length=None,
            **options,
        )
    except pl.exceptions.PanicException as error:
        raise pl.exceptions.ComputeError(f"the CSV is damaged ({error})") from error
    return table.with_columns(pl.col(pl.String).str.replace(_ESCAPED, "${1}"))


def _recode(content: bytes) -> bytes:
    """Return a text in UTF-8, whichever of three encodings it is in."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace").encode()
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace").encode()
    return content


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        OSError: the file is not there, may not be read, or is a folder, pipe or device.
        polars.exceptions.PolarsError: it is no Parquet.
    """
    content = read_content(path)
    # A damaged file can end the process in which Polars reads it, so another one tries first.
    command = [sys.executable, "-P", "-c", _READ_PARQUET]
    tried = subprocess.run(command, input=content, stdout=DEVNULL, stderr=DEVNULL, check=False)  # noqa: S603
    if tried.returncode != 0:
        raise pl.exceptions.ComputeError("it is no Parquet file, or damaged")
    return pl.read_parquet(io.BytesIO(content))
