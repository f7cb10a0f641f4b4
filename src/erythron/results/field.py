"""The folder of one counted field: the one place that writes it and the one that reads it back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo
from pydantic import TypeAdapter, ValidationError

from erythron.cells.outline import CellOutline
from erythron.cells.table import type_columns
from erythron.differential.counts import Differential
from erythron.errors import DataError, UsageError
from erythron.files.hashing import hash_file, hash_text
from erythron.files.reading import open_regular, read_content, read_text
from erythron.files.tables import format_csv, parse_csv
from erythron.files.writing import whole_file, whole_folder, write_file
from erythron.interchange.cells import LabelledCell, outline_labelled
from erythron.interchange.geojson import CellRings, cells_to_geojson, iterate_rings
from erythron.interchange.labels import read_labels
from erythron.interchange.outlines import fill_parts
from erythron.read.inputs import OWN_PICTURE
from erythron.report.model import FieldPage
from erythron.report.overlay import draw_overlay
from erythron.results.record import (
    CELLS,
    DIFFERENTIAL,
    GEOJSON,
    OVERLAY,
    PAGE,
    RECORD,
    FieldRecord,
    explain_unreadable,
    read_record,
)
from erythron.results.review import read_review, write_review
from erythron.review.record import Review

OWN_FILES = (CELLS, GEOJSON, DIFFERENTIAL, OVERLAY, PAGE, RECORD)
"""What a field's folder holds; anything else in it is not erythron's, and stays."""

_AGAIN = "count the image again with --force"


@dataclass(frozen=True, eq=False)
class FieldResult:
    """All that is known of one counted field but its pixels.

    Attributes:
        record: where it comes from.
        outlines: its cells.
        cells: their table, in the same order, with the columns of
            :func:`erythron.cells.table.list_cell_columns`.
        differential: of these cells.
        review: what persons called its cells, None where nobody did.
    """

    record: FieldRecord
    outlines: tuple[CellOutline, ...]
    cells: pl.DataFrame
    differential: Differential
    review: Review | None = None


@dataclass(frozen=True, eq=False)
class ShownField:
    """What is made of a field's result to be looked at.

    Attributes:
        rings: the outlines as polygons, in the order of the cells.
        page: what the page shows; None where it does not show this field.
    """

    rings: Sequence[CellRings]
    page: FieldPage | None = None


def write_field(
    result: FieldResult, rgb: NDArray[np.uint8], show: Callable[[], ShownField], folder: Path
) -> tuple[FieldRecord, ShownField]:
    """Write the folder of a field; it appears when it is whole, and replaces one that is there.

    Args:
        result: what was counted.
        rgb: (H, W, 3) uint8, the field's pixels.
        show: makes of the same what is looked at.
        folder: where to.

    Returns:
        The record as written, and what ``show`` made.
    """
    table, differential = format_csv(result.cells), result.differential.to_json()
    hashes = {"cells_sha256": hash_text(table), "differential_sha256": hash_text(differential)}
    record = result.record.model_copy(update=hashes)
    # The picture is packed on another core while Python traces and writes the outlines.
    with whole_folder(folder, own=OWN_FILES) as partial, ThreadPoolExecutor(max_workers=1) as beside:
        overlay = beside.submit(_write_overlay, result, rgb, partial / OVERLAY)
        shown = show()
        write_file(partial / CELLS, table)
        write_file(partial / GEOJSON, cells_to_geojson(shown.rings, result.cells))
        write_file(partial / DIFFERENTIAL, differential)
        if shown.page is not None:
            write_file(partial / PAGE, dump_page(shown.page))
        if result.review is not None:
            write_review(partial, result.review)
        write_file(partial / RECORD, dump_record(record))
        overlay.result()
    return record, shown


def replace_differential(folder: Path, record: FieldRecord, differential: Differential) -> FieldRecord:
    """Write another differential, and the record that names its fingerprint, into the folder of a field.

    Returns:
        The record as written.
    """
    text = differential.to_json()
    record = record.model_copy(update={"differential_sha256": hash_text(text)})
    write_file(folder / DIFFERENTIAL, text)
    write_file(folder / RECORD, dump_record(record))
    return record


def replace_page(folder: Path, record: FieldRecord, page: FieldPage) -> None:
    """Write what the page shows, and the record that names its fingerprint, into the folder of a field."""
    write_file(folder / PAGE, dump_page(page))
    write_file(folder / RECORD, dump_record(record))


def need_record(folder: Path) -> FieldRecord:
    """Return the record of a counted field.

    Raises:
        DataError: there is no readable one.
    """
    record = read_record(folder)
    if record is None:
        raise DataError(f"{folder}: {explain_unreadable(folder)}")
    return record


def read_cells(folder: Path) -> pl.DataFrame:
    """Return the table of cells of a counted field.

    Raises:
        DataError: it is missing, broken, or no table of cells.
    """
    path = folder / CELLS
    try:
        text = read_content(path)
        names = text[: text.index(b"\n")].decode("utf-8").rstrip("\r").split(",")
        return parse_csv(text, type_columns(names))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_AGAIN}") from error


def is_whole(folder: Path) -> bool:
    """Return whether every file of a field's folder is there; what the page shows is made anew."""
    try:
        return all((folder / name).stat().st_size > 0 for name in OWN_FILES if name != PAGE)
    except OSError:
        return False


def refuse_foreign_folder(folder: Path) -> None:
    """Refuse to write a field where something lies that erythron did not write, whatever is to be replaced.

    Raises:
        UsageError: the place is taken by a file, or by a folder with files of a field's names and no record.
    """
    if not folder.exists() or (folder / RECORD).exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file that is not erythron's; move it or choose another --out")
    taken = [name for name in OWN_FILES if (folder / name).exists()]
    if taken:
        raise UsageError(
            f"{folder / taken[0]} is there and erythron did not write it; move it or choose another --out"
        )


def is_edited(folder: Path, record: FieldRecord) -> bool:
    """Return whether the table of cells is not the one that was written.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return hash_file(folder / CELLS) != record.cells_sha256
    except OSError as error:
        raise DataError(f"{folder / CELLS}: cannot be read ({error.strerror}); {_AGAIN}") from error


def read_differential(folder: Path, record: FieldRecord | None = None) -> Differential:
    """Return the differential of a counted field.

    Args:
        folder: of the field.
        record: of the field, whose differential alone is taken; None to take what is there.

    Raises:
        DataError: it is missing, broken, or not what was written.
    """
    path = folder / DIFFERENTIAL
    try:
        text = read_text(path)
        if record is not None and record.differential_sha256 not in {"", hash_text(text)}:
            raise DataError(f"{path}: was changed after the count; {_AGAIN}")
        return Differential.from_json(text)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def read_page(folder: Path) -> FieldPage | None:
    """Return what the page shows of a field, or None where that is not stored or not readable."""
    try:
        return _page_json().validate_json(read_content(folder / PAGE))
    except (OSError, ValidationError):
        return None


def read_field(folder: Path) -> FieldResult:
    """Read all that is stored of a counted field; the image itself is not needed.

    Raises:
        DataError: a file is missing, broken or changed since, or the outlines are not those of the table.
    """
    record, cells = need_record(folder), read_cells(folder)
    if record.cells_sha256 and is_edited(folder, record):
        raise DataError(
            f"{folder / CELLS}: is not the table that was counted: if you edited it, erythron recount takes "
            f"it with --labels {folder / CELLS}; else {_AGAIN}"
        )
    labelled = {cell.cell_id: cell for image in read_labels(folder / GEOJSON) for cell in image.cells}
    ids = cells["cell_id"].to_list()
    if len(labelled) != len(ids) or set(labelled) != set(ids):
        raise DataError(f"{folder / GEOJSON}: its cells are not those of {CELLS}; {_AGAIN}")
    scores = cells["outline_score"].to_list()
    outlines = tuple(
        _take_outline(labelled[cell_id], score, folder) for cell_id, score in zip(ids, scores, strict=True)
    )
    return FieldResult(record, outlines, cells, read_differential(folder, record), read_review(folder))


def iterate_field_rings(folder: Path) -> Iterator[tuple[str, CellRings]]:
    """Yield name and polygons of the cells of a counted image, in a twentieth of the time of the masks.

    They come in the order of its table, one at a time, so that a slide need not fit into memory.

    Raises:
        DataError: they are missing or broken.
    """
    path = folder / GEOJSON
    try:
        with TextIOWrapper(open_regular(path), "utf-8") as file:
            yield from iterate_rings(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_outlines(folder: Path, names: Collection[str]) -> dict[str, CellOutline]:
    """Return the outlines of some cells of a counted image by name; those that it has not are left out.

    Raises:
        DataError: they are missing or broken.
    """
    wanted = frozenset(names)
    if not wanted:
        return {}
    found = {}
    for name, rings in iterate_field_rings(folder):
        whole = fill_parts(rings.cell) if name in wanted else None
        if whole is not None:
            cell = LabelledCell("", whole, fill_parts(rings.nucleus), name)
            found[name] = _take_outline(cell, None, folder)
    return found


def _take_outline(cell: LabelledCell, score: float | None, folder: Path) -> CellOutline:
    outline = outline_labelled(cell, np.nan if score is None else score)
    if outline is None:
        raise DataError(f"{folder / GEOJSON}: cell {cell.cell_id} has no nucleus; {_AGAIN}")
    return outline


def _write_overlay(result: FieldResult, rgb: NDArray[np.uint8], path: Path) -> None:
    with whole_file(path) as partial:
        overlay = draw_overlay(rgb, result.outlines, result.cells)
        text = PngInfo()
        text.add_text(OWN_PICTURE, OVERLAY)
        overlay.save(partial, format="PNG", compress_level=1, pnginfo=text)


def dump_page(page: FieldPage) -> bytes:
    """Return what a page shows of a field as ``page.json`` holds it."""
    return _page_json().dump_json(page)


def dump_record(record: FieldRecord) -> str:
    """Return a record as ``record.json`` holds it."""
    return record.model_dump_json(indent=2) + "\n"


@cache
def _page_json() -> TypeAdapter[FieldPage]:
    return TypeAdapter(FieldPage)
