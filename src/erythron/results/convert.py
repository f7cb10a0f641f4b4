"""A finished run in another program's format, made from its folder without counting again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import polars as pl

from erythron import __version__
from erythron.cells.table import list_probability_classes
from erythron.errors import DataError, UsageError
from erythron.files.tables import format_csv, read_csv, write_parquet
from erythron.files.writing import PARTIAL_SUFFIX, whole_file, write_file
from erythron.interchange.cells import CountedImage, check_same_classes
from erythron.interchange.coco import write_coco
from erythron.interchange.label_studio import LOCAL_FILES, make_labelling_config, write_label_studio
from erythron.report.spreadsheet import write_xlsx
from erythron.results.field import read_field
from erythron.results.record import RECORD
from erythron.results.repeated import drop_repeated
from erythron.results.run import SUMMARY, read_run


class ExportFormat(StrEnum):
    """What a run can be converted to."""

    COCO = "coco"
    LABEL_STUDIO = "label-studio"
    PARQUET = "parquet"
    XLSX = "xlsx"
    CSV = "csv"


_TABLES = (ExportFormat.PARQUET, ExportFormat.XLSX, ExportFormat.CSV)


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        files: the files, the one that was named first.
        images: images in them.
        cells: cells in them.
    """

    files: tuple[Path, ...]
    images: int
    cells: int


@dataclass(frozen=True)
class FormatOptions:
    """What a format may be told.

    Attributes:
        image_prefix: what Label Studio puts before an image's path.
        decimal: sign before the decimals of a CSV file; with a comma its columns are parted by semicolons.
    """

    image_prefix: str = LOCAL_FILES
    decimal: Literal[".", ","] = "."


def convert_run(
    run: Path, kind: ExportFormat, out: Path, options: FormatOptions = FormatOptions(), *, force: bool = False
) -> Conversion:
    """Write the cells of a run, or of one image's folder, in another format.

    COCO and Label Studio take the memory of one image; the tables (Parquet, a workbook with the run's summary
    and all cells, CSV) that of all cells; of a run over specimens they name that of each cell.

    Args:
        run: output folder of ``erythron count``, or one image's folder in it.
        kind: the format.
        out: the file to write. Label Studio's labelling configuration goes beside it, with the suffix
            ``.xml``.
        options: what the format may be told.
        force: replace what is there.

    Raises:
        UsageError: ``run`` holds no counted image, or ``out`` is there.
        DataError: a folder is incomplete, or the images were counted with different classes.
    """
    folders = _find_folders(run)
    config = out.with_suffix(".xml")
    files = (out, config) if kind is ExportFormat.LABEL_STUDIO else (out,)
    if len(set(files)) < len(files):
        raise UsageError(f"{out}: this name is that of the labelling configuration; name the tasks .json")
    if kind is ExportFormat.XLSX and out.suffix.lower() != ".xlsx":
        raise UsageError(f"{out}: no spreadsheet opens a workbook of that name; name it .xlsx")
    for path in files:
        if path.exists() and not force:
            raise UsageError(f"{path} is there; add --force to replace it or choose another --out")
    classes = list_probability_classes(read_field(folders[0]).cells.columns)
    counts: list[int] = []

    def read_all() -> Iterator[CountedImage]:
        for folder in folders:
            found = read_field(folder)
            counts.append(found.cells.height)
            record = found.record
            yield CountedImage(record.image, record.width_px, record.height_px, found.cells, found.outlines)

    if kind in _TABLES:
        cells = _join_tables(read_all(), classes, _name_specimens(run, folders))
        _write_table(cells, kind, run, out, options.decimal)
    elif kind is ExportFormat.COCO:
        _write_text(write_coco(read_all(), classes, __version__), out)
    else:
        version = f"erythron {__version__}"
        _write_text(write_label_studio(read_all(), classes, version, options.image_prefix), out)
        write_file(config, make_labelling_config(classes))
    return Conversion(files, len(counts), sum(counts))


def _find_folders(run: Path) -> Sequence[Path]:
    """Return the folders of the images that a run counts, sorted; hidden ones are what a killed run left."""
    records = [
        path
        for path in sorted(run.rglob(RECORD))
        if not any(part.endswith(PARTIAL_SUFFIX) for part in path.relative_to(run).parts)
    ]
    if not records:
        raise UsageError(f"{run}: holds no counted image; name the --out folder of erythron count")
    return drop_repeated([path.parent for path in records], run)


def _write_text(pieces: Iterator[str], out: Path) -> None:
    with whole_file(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)


def _name_specimens(run: Path, folders: Sequence[Path]) -> list[str | None]:
    """Return the specimen of each image of a run over specimens; nothing of another run.

    Args:
        run: its folder.
        folders: of the images; one that an earlier run left there is of no specimen, None.
    """
    names = {run / name: name for name in (read_run(run) or {}).get("specimens", ())}
    return [
        next((names[above] for above in folder.parents if above in names), None)
        for folder in folders
        if names
    ]


def _join_tables(
    images: Iterator[CountedImage], classes: tuple[str, ...], specimens: Sequence[str | None]
) -> pl.DataFrame:
    """Return the cells of all images, with a column of the specimen after that of the image where given."""
    tables = []
    for number, image in enumerate(images):
        check_same_classes(classes, image)
        table = image.table
        if specimens:
            table = table.insert_column(
                1, pl.Series("specimen", [specimens[number]] * table.height, pl.String())
            )
        tables.append(table)
    return pl.concat(tables)


def _write_table(
    cells: pl.DataFrame, kind: ExportFormat, run: Path, out: Path, decimal: Literal[".", ","]
) -> None:
    if kind is ExportFormat.CSV:
        write_file(out, format_csv(cells, decimal))
    elif kind is ExportFormat.XLSX:
        write_xlsx(_read_summary(run), cells, out)
    else:
        write_parquet(cells, out)


def _read_summary(run: Path) -> pl.DataFrame:
    """Return the summary of a run, its names as text; of one image's folder an empty table."""
    path = run / SUMMARY
    if not path.exists():
        return pl.DataFrame({"image": []}, schema={"image": pl.String})
    texts = ("image", "specimen", "reason", "quality_flags", "signed_by", "signed_at")
    names = dict.fromkeys(texts, pl.String())
    try:
        return read_csv(path, names)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: no readable summary ({error}); count again") from error
