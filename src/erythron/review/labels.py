"""Files of corrected labels, whatever wrote them, as corrections by image.

An edited ``cells.csv`` (also one that a spreadsheet saved with semicolons), a workbook, QuPath GeoJSON,
COCO, or Label Studio. Of a table only the columns ``image``, ``cell_id``, ``counted_as``, ``label``,
``flags`` and ``confidence`` are read; the last one tells of which count the table is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from erythron.errors import DataError
from erythron.files.tables import read_csv
from erythron.interchange.cells import LabelledCell
from erythron.interchange.labels import read_labels

_KEPT = ("counted_as", "label", "flags", "confidence")

_CALLS = ("counted_as", "label")
"""Columns of a table in which a person says what a cell is."""

_TABLES = {".csv", ".tsv", ".txt", ".xlsx"}


@dataclass(frozen=True)
class EditedRow:
    """A row of an edited table of cells; a column that the file lacks is None.

    Attributes:
        cell_id: the cell.
        counted_as: the line of the differential.
        label: the class.
        flags: as in the table.
        confidence: of the model, as the file writes it.
    """

    cell_id: str
    counted_as: str | None
    label: str | None
    flags: str | None
    confidence: str | None = None


@dataclass(frozen=True)
class Labels:
    """What one file says of one image.

    Attributes:
        source: the file.
        image: the image as the file names it; empty where a table has no such column.
        rows: of an edited table.
        cells: of a file of outlines.
        left_out: one reason for every object of such a file that gave no cell.
        size_px: width and height of the image that was labelled, None where the file does not state them.
    """

    source: Path
    image: str
    rows: tuple[EditedRow, ...] = ()
    cells: tuple[LabelledCell, ...] = ()
    left_out: tuple[str, ...] = ()
    size_px: tuple[int, int] | None = None


def read_corrections(path: Path) -> tuple[Labels, ...]:
    """Return what a file of corrected labels says, image by image.

    Raises:
        DataError: the file cannot be read, or is of no format that is known.
    """
    if path.suffix.lower() not in _TABLES:
        return tuple(
            Labels(path, found.name, (), found.cells, found.left_out, found.size_px)
            for found in read_labels(path)
        )
    rows = _take_rows(path, _read_workbook(path) if path.suffix.lower() == ".xlsx" else _read_text(path))
    images = dict.fromkeys(image for image, _ in rows)
    return tuple(Labels(path, image, tuple(row for i, row in rows if i == image)) for image in images)


def _read_text(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a text table with the place that messages give it."""
    try:
        table = read_csv(path, all_text=True).fill_null("")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except pl.exceptions.PolarsError as error:
        cause = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: is no table ({cause}); save the table as CSV again") from error
    _check_columns(path, table.columns)
    for number, row in enumerate(table.iter_rows(named=True), 2):
        yield f"row {number}", row


def _read_workbook(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of the sheets of a workbook that are tables of cells."""
    from openpyxl import load_workbook  # takes long to import, and few labels are workbooks

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); check the path") from error
    except Exception as error:  # whatever a broken archive or sheet makes of it
        raise DataError(f"{path}: is no readable workbook ({error}); save it as xlsx again") from error
    tables, has_blank = 0, False
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        names = [str(name or "") for name in next(rows, ())]
        if "cell_id" not in names:
            continue
        tables += 1
        _check_columns(path, names)
        for number, values in enumerate(rows, 2):
            texts = ("" if value is None else str(value) for value in values)
            row = dict(zip(names, texts, strict=False))
            has_blank = has_blank or bool(row.get("cell_id") and not all(row.get(n, "-") for n in _CALLS))
            yield f"sheet {sheet.title}, row {number}", row
    if not tables:
        _check_columns(path, [])
    if has_blank:
        _refuse_lost_calls(path)


def _refuse_lost_calls(path: Path) -> None:
    """Refuse a workbook in which a call that a person sees has no value: merged, or of a formula.

    Raises:
        DataError: it has such a call.
    """
    from openpyxl import load_workbook

    for sheet in load_workbook(path).worksheets:
        titles = {cell.column: cell.value for cell in sheet[1]}
        if "cell_id" not in titles.values():
            continue
        for column in (column for column, title in titles.items() if title in _CALLS):
            for merged in sheet.merged_cells.ranges:
                if merged.min_col <= column <= merged.max_col:
                    raise DataError(
                        f"{path}: sheet {sheet.title}: {merged.coord} is merged, and only its first cell has "
                        "a call; unmerge it and write the call into each row"
                    )
            for [cell] in sheet.iter_rows(min_row=2, min_col=column, max_col=column):
                if cell.data_type == "f":
                    raise DataError(
                        f"{path}: sheet {sheet.title}: {cell.coordinate} is a formula without a stored "
                        "value; open the workbook in a spreadsheet and save it, or write the call itself"
                    )


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if "cell_id" not in names or not {"counted_as", "label"} & set(names):
        raise DataError(
            f"{path}: is no table of cells, which has the columns cell_id and counted_as or label; give the "
            "edited cells.csv of the run"
        )


def _take_rows(path: Path, rows: Iterable[tuple[str, dict[str, str]]]) -> list[tuple[str, EditedRow]]:
    """Return image and content of each row that names a cell."""
    taken: dict[tuple[str, str], EditedRow] = {}
    for place, row in rows:
        key = (row.get("image", "").strip(), row.get("cell_id", "").strip())
        if not key[1]:
            continue
        if key in taken:
            raise DataError(f"{path}: {place}: cell {key[1]} stands in two rows; keep one")
        taken[key] = EditedRow(key[1], *(row[n].strip() if n in row else None for n in _KEPT))
    return [(image, row) for (image, _), row in taken.items()]
