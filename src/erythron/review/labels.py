"""Files of corrected labels, whatever wrote them, as corrections by image.

An edited ``cells.csv`` (also one that a spreadsheet saved with semicolons), QuPath GeoJSON, COCO, or Label
Studio. Of a table only the columns ``image``, ``cell_id``, ``counted_as``, ``label`` and ``flags`` are read.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from erythron.errors import DataError
from erythron.interchange.cells import LabelledCell
from erythron.interchange.labels import read_labels

_KEPT = ("counted_as", "label", "flags")


@dataclass(frozen=True)
class EditedRow:
    """A row of an edited table of cells; a column that the file lacks is None.

    Attributes:
        cell_id: the cell.
        counted_as: the line of the differential.
        label: the class.
        flags: as in the table.
    """

    cell_id: str
    counted_as: str | None
    label: str | None
    flags: str | None


@dataclass(frozen=True)
class Labels:
    """What one file says of one image.

    Attributes:
        source: the file.
        image: the image as the file names it; empty where a table has no such column.
        rows: of an edited table.
        cells: of a file of outlines.
        left_out: one reason for every object of such a file that gave no cell.
    """

    source: Path
    image: str
    rows: tuple[EditedRow, ...] = ()
    cells: tuple[LabelledCell, ...] = ()
    left_out: tuple[str, ...] = ()


def read_corrections(path: Path) -> tuple[Labels, ...]:
    """Return what a file of corrected labels says, image by image.

    Raises:
        DataError: the file cannot be read, or is of no format that is known.
    """
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return tuple(
            Labels(path, found.name, cells=found.cells, left_out=found.left_out)
            for found in read_labels(path)
        )
    rows = _read_table(path)
    images = dict.fromkeys(image for image, _ in rows)
    return tuple(Labels(path, image, tuple(row for i, row in rows if i == image)) for image in images)


def _read_table(path: Path) -> list[tuple[str, EditedRow]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    names = reader.fieldnames or []
    if "cell_id" not in names or not {"counted_as", "label"} & set(names):
        raise DataError(
            f"{path}: is no table of cells, which has the columns cell_id and counted_as or label; give the "
            "edited cells.csv of the run"
        )
    rows: list[tuple[str, EditedRow]] = []
    seen: set[tuple[str, str]] = set()
    try:
        for row in reader:
            cell, image = (row.get(name) or "" for name in ("cell_id", "image"))
            if not cell.strip():
                continue
            key = (image.strip(), cell.strip())
            if key in seen:
                raise DataError(f"{path}: line {reader.line_num}: cell {key[1]} stands in two rows; keep one")
            seen.add(key)
            kept = (None if row.get(name) is None else row[name].strip() for name in _KEPT)
            rows.append((key[0], EditedRow(key[1], *kept)))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; save the table as CSV again") from error
    return rows
