"""Labels from other programs as a data set: crops, masks, a manifest for training and a table for comparing.

In: files of QuPath, COCO or Label Studio, and the images that they label. Out: one folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import Framing
from erythron.cells.class_map import ClassMap, refuse_misspelt
from erythron.cells.classes import CellType
from erythron.cells.outline import BoxedMask, clip_mask, name_cell
from erythron.classify.crops import cut_mask, cut_window
from erythron.classify.framing import choose_mpp
from erythron.datasets.labelled import FoundCell, make_set
from erythron.datasets.manifest import write_manifest
from erythron.errors import DataError, UsageError
from erythron.files.naming import as_text
from erythron.files.reading import open_regular
from erythron.files.tables import write_csv
from erythron.files.writing import whole_folder
from erythron.interchange.cells import LabelledCell, LabelledImage, check_same_image
from erythron.interchange.labels import find_image, map_labels, read_labels
from erythron.pipeline.executor import Failure, Progress, attempt, no_progress
from erythron.read.inputs import find_images
from erythron.read.source import open_source, read_whole
from erythron.results.fingerprint import hash_image
from erythron.results.record import CELLS
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE

MANIFEST = "manifest.csv"
LEFT_OUT = "left_out.csv"

_OWN = (CELLS, LEFT_OUT, MANIFEST, "crops", "masks")
"""What the folder of an import holds; anything else in it is not erythron's, and stays."""

_NAME_LENGTH = 40
"""Characters of an image's name in those of its crops, of at most four bytes each: with number and cell the
name stays under the 255 bytes of a file system."""

_PAPER = 255
_MASK_KIND = "nucleus_255_cell_128"
_CELL_MASK_KIND = "cell"
_CELLS_SCHEMA: dict[str, pl.DataType] = {
    "image": pl.String(),
    "cell_id": pl.String(),
    "x_px": pl.Float64(),
    "y_px": pl.Float64(),
    "width_px": pl.Int64(),
    "height_px": pl.Int64(),
    "label": pl.String(),
    "confidence": pl.Float64(),
    "flags": pl.String(),
    "cell_type": pl.String(),
    "source_label": pl.String(),
    "crop": pl.String(),
    "mask": pl.String(),
}


@dataclass(frozen=True)
class ImportOptions:
    """How labels are imported.

    Attributes:
        class_map: what names stand for, before the synonyms are asked.
        mpp: microns per pixel of all images, or None to take them from the files.
        force: replace an earlier import.
    """

    class_map: ClassMap
    mpp: float | None = None
    force: bool = False


@dataclass(frozen=True)
class ImportRun:
    """What was imported.

    Attributes:
        images: images with at least one cell.
        cells: cells.
        left_out: objects that gave no cell, each with its reason in ``left_out.csv``.
        failures: labelled images that could not be found or read.
    """

    images: int
    cells: int
    left_out: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Field:
    """What the files say of one image: its path, its cells in order, what gave none, and its stated sizes."""

    path: Path
    cells: tuple[LabelledCell, ...]
    left_out: tuple[str, ...]
    sizes_px: frozenset[tuple[int, int]]


def import_labels(
    files: Sequence[Path], images: Path, out: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportRun:
    """Write the labelled cells of files as a data set.

    Writes ``out/crops`` and ``out/masks`` (255 nucleus, 128 cytoplasm of this cell alone; without a nucleus
    128 throughout), ``out/manifest.csv`` for training, whose groups are the images, ``out/cells.csv`` with
    the labels in the columns of a count, and ``out/left_out.csv``. Crops have the size of those that
    ``erythron extract`` cuts. A cell keeps the name it had when it was exported.

    Args:
        files: GeoJSON of QuPath, COCO, or JSON of Label Studio.
        images: folder of the images.
        out: folder to write; it appears when it is whole.
        options: names, scale and whether to replace.
        progress: called after each image.

    Raises:
        UsageError: ``out`` is there, ``images`` holds no image, or the class map spells a name otherwise.
        DataError: a file cannot be read, a name is unknown, or no cell is left.
    """
    _refuse_other(out, force=options.force)
    labelled = [image for file in files for image in read_labels(file)]
    names = [cell.label for image in labelled for cell in image.cells]
    kinds = map_labels(names, options.class_map)
    refuse_misspelt(options.class_map, set(names), "the files")
    fields, failures = _find_fields(labelled, [image.path for image in find_images([images])])
    framing = load_bundle().card.framing
    rows: list[tuple[object, ...]] = []
    found: list[FoundCell] = []
    left_out: list[tuple[str, str]] = []
    with whole_folder(out, own=_OWN) as folder:
        for number, field in enumerate(fields, start=1):
            writer = _CropWriter(folder, f"{number:04d}_{as_text(field.path.stem)[:_NAME_LENGTH]}", framing)
            name = as_text(field.path)
            outcome = attempt(name, partial(writer.write, field, kinds, options.mpp))
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                rows += outcome
                found += writer.found
                left_out += [(name, reason) for reason in (*field.left_out, *writer.left_out)]
            progress(name)
        if not rows:
            reasons = [f.reason for f in failures] + [reason for _, reason in left_out]
            what = "; ".join(reasons[:3]) or "the files hold none"
            raise DataError(f"{', '.join(map(str, files[:3]))}: no labelled cell is left ({what})")
        table = pl.DataFrame(rows, schema=_CELLS_SCHEMA, orient="row")
        write_csv(table, folder / CELLS)
        write_manifest(make_set(out.name, found, kinds).rows, folder / MANIFEST)
        reasons_table = pl.DataFrame(left_out, schema={"image": pl.String, "reason": pl.String}, orient="row")
        write_csv(reasons_table, folder / LEFT_OUT)
    return ImportRun(table["image"].n_unique(), table.height, len(left_out), tuple(failures))


def _refuse_other(out: Path, *, force: bool) -> None:
    if not out.exists():
        return
    if not _is_import(out):
        raise UsageError(f"{out} is there and no import wrote it; choose another --out")
    if not force:
        raise UsageError(f"{out} is there; add --force to replace it or choose another --out")


def _is_import(folder: Path) -> bool:
    """Return whether an import wrote a folder; a manifest alone may be of a set that a person made."""
    beginning = ",".join(_CELLS_SCHEMA).encode() + b"\n"
    try:
        with open_regular(folder / CELLS) as file:
            return (folder / MANIFEST).is_file() and file.read(len(beginning)) == beginning
    except OSError:
        return False


def _find_fields(
    labelled: Iterable[LabelledImage], paths: Sequence[Path]
) -> tuple[list[_Field], list[Failure]]:
    """Join what is said of one image, in whatever file, and find the image."""
    cells: dict[Path, list[LabelledCell]] = {}
    left_out: dict[Path, list[str]] = {}
    sizes: dict[Path, set[tuple[int, int]]] = {}
    failures: list[Failure] = []
    for image in labelled:
        if image.problem:
            failures.append(Failure(image.name, image.problem))
            continue
        try:
            path = find_image(image.name, paths)
        except DataError as error:
            failures.append(Failure(image.name, "; ".join([str(error), *image.left_out[:2]])))
            continue
        cells.setdefault(path, []).extend(image.cells)
        left_out.setdefault(path, []).extend(image.left_out)
        sizes.setdefault(path, set()).update(() if image.size_px is None else [image.size_px])
    fields = []
    for path, found in cells.items():
        kept, doubled = _drop_doubled(found)
        fields.append(_Field(path, kept, (*left_out[path], *doubled), frozenset(sizes[path])))
    return fields, failures


def _drop_doubled(cells: Sequence[LabelledCell]) -> tuple[tuple[LabelledCell, ...], tuple[str, ...]]:
    """Take one of several cells with the very same outline, and none where they are labelled differently.

    Returns:
        The cells that are left, and a reason for every outline that was there more than once.
    """
    alike: dict[object, list[LabelledCell]] = {}
    for cell in cells:
        mask = cell.cell
        alike.setdefault((mask.left, mask.top, mask.mask.shape, mask.mask.tobytes()), []).append(cell)
    kept, reasons = [], []
    for group in alike.values():
        labels = list(dict.fromkeys(cell.label for cell in group))
        name = name_cell(group[0].nucleus or group[0].cell)
        if len(labels) > 1:
            reasons.append(f"cell {name}: one outline is labelled {' and '.join(labels)}")
            continue
        if len(group) > 1:
            reasons.append(f"cell {name}: is there {len(group)} times and taken once")
        kept.append(next((cell for cell in group if cell.nucleus is not None), group[0]))
    return tuple(kept), tuple(reasons)


class _CropWriter:
    """Writes the crops and masks of one image, and remembers what came of each cell."""

    def __init__(self, folder: Path, name: str, framing: Framing) -> None:
        self.found: list[FoundCell] = []
        self.left_out: list[str] = []
        self._folder = folder
        self._name = name
        self._framing = framing

    def write(
        self, field: _Field, kinds: dict[str, CellType | None], mpp: float | None
    ) -> list[tuple[object, ...]]:
        """Write every cell of an image and return their rows of ``cells.csv``."""
        image = read_whole(open_source(field.path, mpp))
        group = hash_image(field.path)[:16]
        height, width = image.rgb.shape[:2]
        instead = "give --images the folder of the images that were labelled"
        check_same_image(str(field.path), field.cells, field.sizes_px, (width, height), instead)
        half = math.ceil(
            self._framing.input_px * self._framing.input_mpp / choose_mpp(image, self._framing) / 2
        )
        rows: list[tuple[object, ...]] = []
        for cell_id, cell in _name(field.cells):
            kind = kinds[cell.label]
            whole = clip_mask(cell.cell, width, height)
            nucleus = None if cell.nucleus is None else clip_mask(cell.nucleus, width, height)
            if kind is None or whole is None:
                reason = f"is {cell.label}" if kind is None else "lies outside the image"
                self.left_out.append(f"cell {cell_id}: {reason}")
                continue
            x, y = (nucleus or whole).centre
            window = (round(x) - half, round(y) - half, round(x) + half, round(y) + half)
            crop, mask = (f"{part}/{self._name}_{cell_id}.png" for part in ("crops", "masks"))
            self._save(cut_window(image.rgb, window, _PAPER), crop)
            self._save(_draw_mask(whole, nucleus, window), mask)
            self.found.append(
                FoundCell(
                    self._folder / crop,
                    cell.label,
                    group=group,
                    mask_path=self._folder / mask,
                    mask_kind=_CELL_MASK_KIND if nucleus is None else _MASK_KIND,
                    mpp=image.mpp,
                )
            )
            size = whole.mask.shape[::-1]
            label = kind.name if kind.cell_class is None else kind.cell_class.name
            rows.append(
                (
                    as_text(field.path),
                    cell_id,
                    x,
                    y,
                    *size,
                    label,
                    None,
                    "",
                    kind.name,
                    cell.label,
                    crop,
                    mask,
                )
            )
        return rows

    def _save(self, pixels: NDArray[np.uint8], name: str) -> None:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)


def _name(cells: Sequence[LabelledCell]) -> Iterator[tuple[str, LabelledCell]]:
    """Yield cells with their names; one that has none, or that of a cell before, is named by its place."""
    seen: set[str] = set()
    for cell in cells:
        name = cell.cell_id
        if name is None or name in seen:
            place = name_cell(cell.nucleus or cell.cell)
            name = next(
                n for n in (place, *(f"{place}n{i}" for i in range(2, 2 + len(cells)))) if n not in seen
            )
        seen.add(name)
        yield name, cell


def _draw_mask(
    whole: BoxedMask, nucleus: BoxedMask | None, window: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    left, top, right, bottom = window
    mask = np.zeros((bottom - top, right - left), np.uint8)
    for boxed, value in ((whole, CYTOPLASM_VALUE), (nucleus, NUCLEUS_VALUE)):
        if boxed is not None:
            mask[cut_mask(boxed, window)] = value
    return mask
