"""Manifest rows as arrays: pixels, shape masks and labels, prepared once and kept beside the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from filelock import FileLock
from numpy.typing import NDArray

from erythron.bundle.folder import SEGMENTATION, load_bundle
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.cells.outline import CellOutline
from erythron.classify.framing import outline_crop
from erythron.errors import DataError
from erythron.files.hashing import hash_text
from erythron.files.writing import whole_folder
from erythron.read.image import SmearImage
from erythron.segment.segmenter import load_segmenter
from erythron.train.classifier.fine_tuned.augmentation import MARGIN
from erythron.train.recipe import InputSettings
from erythron.train.shared.framed_cells import FramedCells, Outline, frame_rows, make_framing
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.true_masks import read_true_mask

FORMAT = 4
"""Of the stored arrays; another number also where cells are outlined or cut otherwise than before."""
CACHE_FOLDER = ".erythron-cells"


@dataclass(frozen=True)
class CellSet(FramedCells):
    """N labelled cells in one order, their crops ``MARGIN`` times the input's side.

    Attributes:
        labels: (N,) int64, index into ``classes``.
        classes: names; erythroid stages first, in order of maturation.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]

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


def prepare_cells(
    rows: pl.DataFrame,
    label_column: str,
    inputs: InputSettings,
    cache: Path,
    progress: Progress = no_progress,
) -> CellSet:
    """Outline, frame and store the cells of a manifest, or map the arrays that an earlier call stored.

    True masks are used where the manifest names them, the shipped segmentation network's otherwise. The
    folder's name holds the hash of content, framing and that network, so that a change of any of them makes
    new arrays.

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
    cache.mkdir(parents=True, exist_ok=True)
    # Another process may prepare the same cells at the same time.
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _store(rows, inputs, folder, progress)
    classes = order_classes(names)
    return CellSet(
        rows,
        np.load(folder / "pixels.npy", mmap_mode="r"),
        np.load(folder / "masks.npy", mmap_mode="r"),
        np.load(folder / "inputs.npy"),
        np.load(folder / "has_cell.npy"),
        np.array([classes.index(n) for n in names], np.int64),
        classes,
    )


def _hash_preparation(rows: pl.DataFrame, inputs: InputSettings) -> str:
    keys = ["sha256", "mpp", "mask_path", "mask_kind", "x_px", "y_px", "width_px", "height_px"]
    segmenter: list[object] = []
    if rows["mask_path"].null_count():
        card = load_bundle().card
        segmenter = [card.segmenter.model_dump(), card.files[SEGMENTATION]]
    content = [FORMAT, MARGIN, inputs.model_dump(mode="json"), segmenter, rows.select(keys).rows()]
    return hash_text(json.dumps(content))[:16]


def _store(rows: pl.DataFrame, inputs: InputSettings, folder: Path, progress: Progress) -> None:
    cells = frame_rows(rows, inputs, MARGIN, _choose_outline(rows, inputs), progress)
    with whole_folder(folder) as partial:
        for name in ("pixels", "masks", "inputs", "has_cell"):
            np.save(partial / f"{name}.npy", getattr(cells, name))


def _choose_outline(rows: pl.DataFrame, inputs: InputSettings) -> Outline:
    named = rows.rows(named=True)
    framing = make_framing(inputs)
    segmenter = load_segmenter(load_bundle()) if rows["mask_path"].null_count() else None

    def outline(number: int, image: SmearImage) -> CellOutline | None:
        if segmenter is None or named[number]["mask_path"] is not None:
            return read_true_mask(named[number], image.rgb)
        return outline_crop(image, segmenter, framing)

    return outline
