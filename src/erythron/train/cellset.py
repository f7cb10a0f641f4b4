"""Manifest rows as arrays: pixels, shape masks and labels, prepared once and kept beside the manifest."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import OUTLINER, load_bundle
from erythron.bundle.schema import Framing
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.cells.outline import CellOutline
from erythron.classify.crops import CropGeometry, cut_cells, cut_window
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.datasets.pixels import read_labelled_image
from erythron.errors import DataError, ImageReadError
from erythron.files.hashing import hash_text
from erythron.read.image import SmearImage
from erythron.read.light import BACKGROUND_LEVEL
from erythron.segment.segmenter import load_segmenter
from erythron.shape.mask import hull_plane
from erythron.train.augmentation import MARGIN
from erythron.train.progress import Progress, no_progress
from erythron.train.recipe import InputSettings
from erythron.train.true_masks import box_window, read_true_mask

FORMAT = 3
"""Of the stored arrays; another number also where cells are outlined or cut otherwise than before."""
CACHE_FOLDER = ".erythron-cells"


@dataclass(frozen=True)
class CellSet:
    """N labelled cells in one order.

    Attributes:
        pixels: (N, P, P, 3) uint8, P being ``MARGIN`` times the input's side.
        masks: (N, P, P, K) uint8: nucleus, cell, hull of the cell, or those of them that were selected.
        labels: (N,) int64, index into ``classes``.
        classes: names; erythroid stages first, in order of maturation.
        rows: their manifest.
        has_cell: (N,) bool; false where no cell was found and the masks are empty.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: pl.DataFrame
    has_cell: NDArray[np.bool_]

    def take(self, index: NDArray[np.int64]) -> CellSet:
        """Return the cells of the given rows, in memory."""
        return CellSet(
            np.asarray(self.pixels[index]),
            np.asarray(self.masks[index]),
            self.labels[index],
            self.classes,
            self.rows[index],
            self.has_cell[index],
        )

    def select_planes(self, planes: Sequence[int]) -> CellSet:
        """Return the cells with some of their mask planes, in memory."""
        return replace(self, masks=np.ascontiguousarray(self.masks[..., list(planes)]))

    def take_split(self, split: str) -> CellSet:
        """Return the cells of one part of the split."""
        return self.take(np.flatnonzero((self.rows["split"] == split).fill_null(False).to_numpy()))  # noqa: FBT003


def cache_beside(data: str) -> Path | None:
    """Return the folder for prepared cells beside a manifest, None where the data is no manifest file."""
    path = Path(data)
    return path.absolute().parent / CACHE_FOLDER if path.is_file() else None


def order_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct labels: erythroid stages in order of maturation, then the others by name."""
    stages = [s.name for s in ERYTHROID_STAGES]
    present = set(labels)
    return (*(s for s in stages if s in present), *sorted(present - set(stages)))


def make_framing(inputs: InputSettings) -> Framing:
    """Return the framing that training and use share.

    Single-cell crops are the only images a manifest without boxes holds, so none is taken for a field.
    """
    return Framing(
        input_px=inputs.px,
        input_mpp=inputs.mpp,
        crop_width_um=inputs.crop_width_um,
        crop_max_px=420,
        field_mpp=0.25,
    )


Outline = Callable[[SmearImage], CellOutline | None]
"""Outlines the central cell of a crop."""


def prepare_cells(
    rows: pl.DataFrame,
    label_column: str,
    inputs: InputSettings,
    cache: Path,
    progress: Progress = no_progress,
) -> CellSet:
    """Outline, frame and store the cells of a manifest, or map the arrays that an earlier call stored.

    True masks are used where the manifest names them, the shipped segmenter's otherwise. The folder's name
    holds the hash of content, framing and segmenter, so that a change of any of them makes new arrays.

    Args:
        rows: a manifest.
        label_column: where the class of each cell stands.
        inputs: size and scale.
        cache: folder for the arrays.
        progress: called after each cell where they are not stored yet.

    Raises:
        DataError: the label column is missing or has gaps, or an image or mask cannot be read.
    """
    if label_column not in rows.columns:
        raise DataError(f"the manifest has no column '{label_column}'; it has {', '.join(rows.columns)}")
    names = rows[label_column].to_list()
    if any(n is None for n in names):
        where = rows["path"][names.index(None)]
        raise DataError(f"{where}: has no '{label_column}'; choose another label column or drop such rows")
    folder = cache / _hash_preparation(rows, inputs)
    if not folder.is_dir():
        _store(rows, inputs, folder, progress)
    classes = order_classes(names)
    return CellSet(
        np.load(folder / "pixels.npy", mmap_mode="r"),
        np.load(folder / "masks.npy", mmap_mode="r"),
        np.array([classes.index(n) for n in names], np.int64),
        classes,
        rows,
        np.load(folder / "has_cell.npy"),
    )


def _hash_preparation(rows: pl.DataFrame, inputs: InputSettings) -> str:
    keys = ["sha256", "mpp", "mask_path", "mask_kind", "x_px", "y_px", "width_px", "height_px"]
    segmenter: list[object] = []
    if rows["mask_path"].null_count():
        card = load_bundle().card
        segmenter = [card.segmenter.model_dump(), card.files[OUTLINER]]
    content = [FORMAT, MARGIN, inputs.model_dump(mode="json"), segmenter, rows.select(keys).rows()]
    return hash_text(json.dumps(content))[:16]


def _store(rows: pl.DataFrame, inputs: InputSettings, folder: Path, progress: Progress) -> None:
    # Built aside and renamed, for another process may prepare the same cells at the same time.
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    side = round(inputs.px * MARGIN)
    pixels, masks = (np.zeros((rows.height, side, side, 3), np.uint8) for _ in range(2))
    outline = _make_outliner(inputs) if rows["mask_path"].null_count() else None
    for i, row in enumerate(rows.iter_rows(named=True)):
        pixels[i], masks[i] = _frame_row(row, inputs, outline)
        progress("Outlining cells", i + 1, rows.height)
    np.save(aside / "pixels.npy", pixels)
    np.save(aside / "masks.npy", masks)
    np.save(aside / "has_cell.npy", masks[..., 1].any(axis=(1, 2)))
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(aside)


def _make_outliner(inputs: InputSettings) -> Outline:
    segmenter, framing = load_segmenter(load_bundle()), make_framing(inputs)
    return lambda image: outline_crop(image, segmenter, framing)


def _frame_row(
    row: dict[str, Any], inputs: InputSettings, outline: Outline | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        image = read_labelled_image(Path(row["path"]), row["mpp"], row["mask_kind"])
    except ImageReadError as error:
        raise DataError(f"{error}; drop its row from the manifest or fetch the set again") from error
    if row["x_px"] is not None:
        image = _cut_box(image, row)
    if row["mask_path"] is not None:
        found = read_true_mask(row, image.rgb)
    elif outline is not None:
        found = outline(image)
    else:
        raise ValueError("a row without a mask needs an outliner")
    return frame_cell(image, found, choose_mpp(image, make_framing(inputs)), inputs)


def _cut_box(image: SmearImage, row: dict[str, Any]) -> SmearImage:
    """Cut a field's cell out, twice its box, so that it stands in its surroundings as in a crop."""
    return replace(image, rgb=cut_window(image.rgb, box_window(row), BACKGROUND_LEVEL))


def frame_cell(
    image: SmearImage, outline: CellOutline | None, mpp: float, inputs: InputSettings
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one stored crop: pixels (P, P, 3) and planes (P, P, 3) of nucleus, cell and hull, uint8.

    The crop's centre is the nucleus', as in use; where no cell was found it is the image's and the planes are
    empty.
    """
    geometry = CropGeometry(round(inputs.px * MARGIN), inputs.mpp)
    if outline is None:
        centre = ((image.width_px - 1) / 2, (image.height_px - 1) / 2)
    else:
        centre = outline.nucleus_mask.centre
    crops = cut_cells(image.light, [outline], [centre], mpp, geometry)
    return crops.pixels[0], add_hull(crops.masks[0])


def add_hull(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return nucleus, cell and hull of the cell, (P, P, 3) uint8, from nucleus and cell, (P, P, 2)."""
    return np.concatenate([masks, hull_plane(masks[..., 1])[..., None]], axis=2)
