"""Crops, masks and a table of every cell of a batch of fields, as the ``extract`` command writes them.

The crops are the image's own pixels, all of one size within an image, so that nothing is lost before
labelling.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from erythron.bundle.schema import Framing
from erythron.classify.calls import calls_schema
from erythron.classify.crops import cut_window
from erythron.classify.framing import choose_mpp
from erythron.errors import UsageError
from erythron.files.writing import write_file
from erythron.pipeline.batch import Failure, Progress, RunOptions, no_progress
from erythron.pipeline.field import FieldCells
from erythron.pipeline.folder_run import FolderRunner
from erythron.read.inputs import InputImage
from erythron.results.record import CELLS
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE

RUN = "extract.json"
"""Which inputs the table of a run is of."""

_PAPER = 255


@dataclass(frozen=True)
class ExtractRun:
    """What a run extracted.

    Attributes:
        images: images that are done.
        cells: cells extracted from them.
        failures: the other images.
    """

    images: int
    cells: int
    failures: tuple[Failure, ...]


def extract_cells(
    inputs: Sequence[InputImage], out: Path, options: RunOptions, progress: Progress = no_progress
) -> ExtractRun:
    """Cut every nucleated cell of every field.

    Writes ``out/NAME/crops/ID.png``, ``out/NAME/masks/ID.png`` (255 nucleus, 128 cytoplasm of this cell
    alone) and ``out/NAME/cells.csv``; and ``out/cells.csv`` over all images, with the paths of crop and
    mask relative to ``out``. Beyond the image's border a crop is white.

    Args:
        inputs: images and their relative output paths.
        out: output folder.
        options: model, scale and whether to replace.
        progress: called after each image.

    Raises:
        UsageError: two inputs have one folder, or ``out`` holds results of other inputs or settings.
        BundleError: the model cannot be used.
    """
    runner = FolderRunner("extract", out, options)
    bundle = runner.bundle
    names = json.dumps([str(image.path) for image in inputs], indent=1)
    if (out / CELLS).exists() and not options.force and not _is_same_run(out, names):
        raise UsageError(
            f"{out / CELLS} is there and is of other images; "
            "add --force to replace it or choose another --out"
        )

    def fill(found: FieldCells, folder: Path) -> None:
        _write_crops(found, folder, bundle.card.framing)

    done = runner.run(inputs, fill, progress)
    tables = [pl.DataFrame(schema={**calls_schema(bundle), "crop": pl.String(), "mask": pl.String()})]
    for _, folder in done.folders:
        prefix = pl.lit(f"{folder.relative_to(out).as_posix()}/")
        table = pl.read_csv(folder / CELLS, schema=tables[0].schema)
        tables.append(table.with_columns(pl.concat_str(prefix, c).alias(c) for c in ("crop", "mask")))
    cells = pl.concat(tables)
    write_file(out / RUN, names)
    write_file(out / CELLS, cells.write_csv())
    return ExtractRun(len(done.folders), cells.height, done.failures)


def _is_same_run(out: Path, names: str) -> bool:
    try:
        return (out / RUN).read_text(encoding="utf-8") == names
    except OSError:
        return False


def _write_crops(found: FieldCells, folder: Path, framing: Framing) -> None:
    """Write crops, masks and table of one image."""
    (folder / "crops").mkdir()
    (folder / "masks").mkdir()
    half = math.ceil(framing.input_px * framing.input_mpp / choose_mpp(found.image, framing) / 2)
    segmentation = found.segmentation
    crops, masks = [], []
    for cell_id, x_px, y_px in found.table.select("cell_id", "x_px", "y_px").iter_rows():
        left, top = round(x_px) - half, round(y_px) - half
        window = (left, top, left + 2 * half, top + 2 * half)
        nucleus = cut_window(segmentation.nucleus, window, 0) == cell_id
        cell = cut_window(segmentation.cell, window, 0) == cell_id
        mask = np.where(nucleus, NUCLEUS_VALUE, np.where(cell, CYTOPLASM_VALUE, 0)).astype(np.uint8)
        crops.append(f"crops/{cell_id:04d}.png")
        masks.append(f"masks/{cell_id:04d}.png")
        Image.fromarray(cut_window(found.image.rgb, window, _PAPER)).save(folder / crops[-1])
        Image.fromarray(mask).save(folder / masks[-1])
    columns = (pl.Series("crop", crops, pl.String()), pl.Series("mask", masks, pl.String()))
    write_file(folder / CELLS, found.table.with_columns(*columns).write_csv())
