"""The folder of one counted image: the files that the command and the Python interface both write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from erythron.differential.counts import Differential
from erythron.errors import DataError
from erythron.files.writing import whole_file, write_file
from erythron.interchange.cells import CountedImage
from erythron.interchange.geojson import cells_to_geojson
from erythron.interchange.labels import read_labels
from erythron.interchange.outlines import Patch
from erythron.pipeline.field import FieldCells
from erythron.report.overlay import draw_overlay
from erythron.results.record import CELLS, DIFFERENTIAL, GEOJSON, OVERLAY, RECORD, ImageRecord
from erythron.shape.measure import MEASUREMENT_SCHEMA

_COLUMN_TYPES: dict[str, pl.DataType] = {
    **MEASUREMENT_SCHEMA,
    "image": pl.String(),
    "label": pl.String(),
    "confidence": pl.Float64(),
    "flags": pl.String(),
}
"""Of the columns that could be taken for another type; the rest are numbers in any table with rows."""


def fill_field_folder(found: FieldCells, folder: Path, differential: Differential) -> None:
    """Write table, outlines, differential and overlay of one image into an empty folder.

    Args:
        found: its cells.
        folder: where to.
        differential: of these cells.
    """
    # The picture is packed on another core while Python traces the outlines.
    with ThreadPoolExecutor(max_workers=1) as beside:
        overlay = beside.submit(_write_overlay, found, folder)
        write_file(folder / CELLS, found.table.write_csv())
        write_file(folder / GEOJSON, cells_to_geojson(found.segmentation, found.table))
        write_file(folder / DIFFERENTIAL, differential.to_json())
        overlay.result()


def _write_overlay(found: FieldCells, folder: Path) -> None:
    with whole_file(folder / OVERLAY) as partial:
        overlay = draw_overlay(found.image.rgb, found.segmentation, found.table)
        overlay.save(partial, format="PNG", compress_level=1)


def write_record(found: FieldCells, folder: Path, sha256: str, mark: str) -> None:
    """Write the record of one image.

    Args:
        found: its cells.
        folder: where to.
        sha256: hash of the image file.
        mark: fingerprint over file, settings, model and version.
    """
    height, width = found.image.rgb.shape[:2]
    scale = found.scale
    record = ImageRecord(
        image=found.image.name,
        sha256=sha256,
        fingerprint=mark,
        width_px=width,
        height_px=height,
        mpp=found.image.mpp,
        mpp_source=found.image.mpp_source,
        mpp_interval=None if scale is None else (scale.mpp_low, scale.mpp_high),
        red_cells=None if scale is None else scale.red_cells,
    )
    write_file(folder / RECORD, record.model_dump_json(indent=2) + "\n")


def read_field_folder(folder: Path) -> CountedImage:
    """Read table and outlines of a counted image back; the image itself is not needed.

    Raises:
        DataError: a file is missing or broken, or the outlines are not those of the table.
    """
    again = "count the image again"
    try:
        record = ImageRecord.model_validate_json((folder / RECORD).read_bytes())
        table = pl.read_csv(folder / CELLS, schema_overrides=_COLUMN_TYPES, infer_schema_length=None)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{folder}: table or record cannot be read ({error}); {again}") from error
    images = read_labels(folder / GEOJSON)
    found = [cell for image in images for cell in image.cells]
    outlines: dict[int | None, tuple[Patch, Patch]] = {
        cell.cell_id: (cell.cell, cell.nucleus) for cell in found if cell.nucleus is not None
    }
    ids = table["cell_id"].to_list()
    if len(found) != len(ids) or set(outlines) != set(ids):
        raise DataError(f"{folder / GEOJSON}: its cells are not those of {CELLS}; {again}")
    return CountedImage(
        record.image, record.width_px, record.height_px, table, tuple(outlines[i] for i in ids)
    )
