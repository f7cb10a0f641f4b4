"""Tables of labels: ``labels.csv`` beside the images it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from polars.exceptions import PolarsError

from erythron.errors import DataError
from erythron.files.tables import read_csv

TABLE_NAME = "labels.csv"
"""Name of a table, in the folder of its images or in one above them."""

_COLUMNS = {
    "image": ("image", "file", "filename", "name", "path", "img", "imagename", "imagefile", "id", "imageid"),
    "label": ("label", "class", "type", "category", "stage", "celltype", "target"),
    "split": ("split", "set", "part", "subset", "fold"),
    "group": ("group", "patient", "patientid", "slide", "case", "specimen", "smear"),
}


@dataclass(frozen=True)
class TableRow:
    """What a table says of an image: its label, and part and group where it has such columns."""

    label: str
    split: str | None
    group: str


def read_label_tables(folder: Path, images: list[Path]) -> dict[Path, TableRow] | None:
    """Return what the tables under a folder say of its images; None where there is no table.

    A table has a column of images (``image``, ``file``, ``name`` and the like: a path below the table's
    folder or the file's bare name, with its ending or without) and one of labels (``label``, ``class``,
    ``stage``), and may have ``split`` and ``group``.

    Raises:
        DataError: a table cannot be read, lacks one of the two columns or a value in them, has a group in
            some rows alone, names an image that is not there, that two files are called, or twice with
            different rows, or has no row of an image below its folder.
    """
    tables = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.casefold() == TABLE_NAME)
    if not tables:
        return None
    found: dict[Path, TableRow] = {}
    for table in tables:
        known = _index_images(table.parent, images)
        for name, row in _read_rows(table):
            key = name.replace("\\", "/").removeprefix("./").casefold()
            matches = known.get(key, set())
            if len(matches) != 1:
                what = "no image" if not matches else f"{len(matches)} images"
                raise DataError(f"{table}: '{name}' is the name of {what} beside it; correct the table")
            (path,) = matches
            if path in found and found[path].label != row.label:
                raise DataError(
                    f"{table}: '{name}' is labelled both {found[path].label} and {row.label}; keep one row"
                )
            if found.get(path, row) != row:
                raise DataError(f"{table}: '{name}' stands in two rows of another part or group; keep one")
            found[path] = row
        bare = [path for path in images if path not in found and path.is_relative_to(table.parent)]
        if bare:
            raise DataError(
                f"{table}: has no row of {len(bare)} images beside it, the first of them "
                f"{bare[0].relative_to(table.parent)}, and the name of a folder or file would decide; add "
                "them (with a label such as 'none', and --class-map 'none=', to leave them out), or move "
                "them away"
            )
    return found


def _index_images(folder: Path, images: list[Path]) -> dict[str, set[Path]]:
    """Return the images under a folder by every name that a table may give them."""
    index: dict[str, set[Path]] = {}
    for path in images:
        if path.is_relative_to(folder):
            relative = path.relative_to(folder)
            names = {relative.as_posix(), relative.with_suffix("").as_posix(), path.name, path.stem}
            for name in names:
                index.setdefault(name.casefold(), set()).add(path)
    return index


def _read_rows(table: Path) -> list[tuple[str, TableRow]]:
    try:
        content = read_csv(table, all_text=True)
    except (OSError, PolarsError) as error:
        raise DataError(f"{table}: the table of labels cannot be read ({error}); save it as CSV") from error
    named = {re.sub(r"[^a-z]", "", c.casefold()): c for c in reversed(content.columns)}
    columns = {
        kind: next((named[name] for name in names if name in named), None) for kind, names in _COLUMNS.items()
    }
    for kind in ("image", "label"):
        if columns[kind] is None:
            raise DataError(
                f"{table}: has no column '{kind}'; its columns are {', '.join(content.columns)}: call "
                f"one of them '{kind}'"
            )
    rows = []
    for number, row in enumerate(content.iter_rows(named=True), 2):
        values = {kind: str(row[c] or "").strip() if c is not None else "" for kind, c in columns.items()}
        if values["image"] and values["label"]:
            found = TableRow(values["label"], values["split"] or None, values["group"])
            rows.append((values["image"], found))
        elif values["image"] or values["label"]:
            here, lacks = ("image", "label") if values["image"] else ("label", "image")
            raise DataError(
                f"{table}: row {number} ('{values[here]}') has no {columns[lacks]}, and the name of a "
                "folder or file would decide; fill it in, or take the row and its image out"
            )
    bare = [name for name, row in rows if not row.group]
    if bare and len(bare) < len(rows):
        raise DataError(
            f"{table}: '{bare[0]}' and {len(bare) - 1} more rows have no {columns['group']}, as a "
            "spreadsheet leaves merged cells, and cells of one must stay on one side of a split; fill it in, "
            "or take the column out"
        )
    return rows
