"""Images with the outlines of their cells: from a manifest's masks, or from a stain that leaves no doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage

from erythron.datasets.masks import read_mask
from erythron.datasets.pixels import read_labelled_image
from erythron.errors import DataError
from erythron.read.image import SmearImage
from erythron.segment.stain import balance, nuclear_channel
from erythron.train.folded_sets import FoldedSet
from erythron.train.segmenter.pseudo_labels import find_lone_cell, find_nucleus
from erythron.train.segmenter.sets import SetTraits, find_traits
from erythron.train.segmenter.use import CARD

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]

SMOOTHED_PX = 1.0
"""Standard deviation of the smoothing of images with masks before the stain is told apart: grain goes."""

LONE_SMOOTHED_UM = 0.1
"""The same for cells that the stain alone outlines: a pixel of ``pbc-acevedo``."""

MOST_FREE_STAIN = 0.2
"""Nuclear stain (``nuclear_channel``) up to which a place may be free of nuclei; of every drawn nucleus of
``marrow-masks`` at least 99.8 % of the pixels have more. Under it no candidate point is ever found
(``SegmenterCard.least_stain`` is 0.25)."""

LEAST_PART_PX = 20
"""A part of a mask of at most so many pixels is a speck and no cell. ``bcisc`` alone has some: 19 of 1 to 3
pixels, and two of 25 and 32 that pass as cells, in two of 2,371 windows; its smallest cell has 848."""

GRANULAR = "basophil"
"""Type of cell whose granules hide the nucleus from the stain."""

NOT_NUCLEATED = ("red_cell", "polychromatic_erythrocyte", "platelet")
"""Types whose boxes show no nucleated cell."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its outlined cells.

    Attributes:
        name: file name.
        source: what results call its set.
        mpp: microns per pixel.
        light: (H, W, 3) uint8, light relative to the empty smear.
        nucleus: (H, W) bool.
        cells: (H, W) int32, one label an outlined cell.
        empty: (x, y) in pixels of places that belong to no nucleated cell.
        fold: of the cross-validation.
        unknown: labels of the cells whose nucleus is not known.
    """

    name: str
    source: str
    mpp: float
    light: Pixels
    nucleus: Bools
    cells: NDArray[np.int32]
    empty: list[tuple[float, float]]
    fold: int
    unknown: frozenset[int] = frozenset()


def read_annotated(folded: FoldedSet, seed: int, rng: np.random.Generator) -> Iterator[AnnotatedImage]:
    """Yield every image of a set that has a mask or a cell that is alone.

    Args:
        folded: the set.
        seed: chooses the images that are looked at for lone cells.
        rng: chooses the empty places.

    Raises:
        DataError: an image or a mask cannot be read, or they differ in size; or the set gives no image.
    """
    traits = find_traits(folded.name)
    rows = folded.rows.with_columns(fold=folded.fold)
    found = 0
    for _, of_image in rows.group_by("path", maintain_order=True):
        masked = of_image.filter(pl.col("mask_path").is_not_null())
        if masked.height:
            yield _read_masked(masked.row(0, named=True), of_image, traits, rng)
            found += 1
    for row in _choose_lone(rows, traits, seed):
        image = _read_lone(row, traits)
        if image is not None:
            yield image
            found += 1
    if not found:
        raise DataError(
            f"{folded.folder}: no cell of this set has a mask; leave it out of the segmenter's sets"
        )


def has_mask(folded: FoldedSet) -> pl.DataFrame:
    """Return one row of each image that has a mask, with the column ``fold`` beside the manifest's."""
    rows = folded.rows.with_columns(fold=folded.fold).filter(pl.col("mask_path").is_not_null())
    return rows.unique("path", keep="first", maintain_order=True)


def _read_masked(
    row: dict[str, Any], of_image: pl.DataFrame, traits: SetTraits, rng: np.random.Generator
) -> AnnotatedImage:
    image = read_labelled_image(Path(row["path"]), row["mpp"], row["mask_kind"])
    mask = read_mask(Path(row["mask_path"]), row["mask_kind"])
    if mask.cell.shape != image.rgb.shape[:2]:
        raise DataError(f"{row['mask_path']}: the mask is of another size than its image {row['path']}")
    is_field = row["x_px"] is not None
    mpp = _choose_mpp(image, traits, is_field)
    smooth = balance(image.rgb, image.background, SMOOTHED_PX)
    cells = _part_cells(mask.cell, traits, is_field)
    if mask.nucleus is not None:
        nucleus, unknown = mask.nucleus, frozenset[int]()
    elif row["label"] == GRANULAR:
        nucleus, unknown = np.zeros_like(mask.cell), frozenset(range(1, int(cells.max()) + 1))
    else:
        nucleus, unknown = _find_nuclei(smooth, cells)
    if is_field:
        empty = _middles(of_image, mask.cell, rng)[: traits.empty_points]
    else:
        free = ~(nuclear_channel(smooth) > MOST_FREE_STAIN) & ~mask.cell
        # As far from the next nucleus as the stain is smoothed before candidate points are looked for.
        inside = ndimage.distance_transform_edt(free) * mpp > CARD.stain_blur_um
        empty = _choose_places(inside, traits.empty_points, rng)
    name = Path(row["path"]).name
    return AnnotatedImage(name, traits.name, mpp, image.light, nucleus, cells, empty, row["fold"], unknown)


def _choose_mpp(image: SmearImage, traits: SetTraits, is_field: bool) -> float:
    if image.mpp is not None:
        return image.mpp
    return traits.field_mpp if is_field else traits.crop_width_um / min(image.rgb.shape[:2])


def _part_cells(mask: Bools, traits: SetTraits, is_field: bool) -> NDArray[np.int32]:
    opened = ndimage.binary_opening(mask, iterations=traits.opened_px) if traits.opened_px else mask
    if traits.one_cell and not is_field:
        return np.asarray(opened, np.int32)
    return np.asarray(ndimage.label(opened)[0], np.int32)


def _find_nuclei(light: NDArray[np.float32], cells: NDArray[np.int32]) -> tuple[Bools, frozenset[int]]:
    """Return the nuclei that the stain shows beyond doubt, and the labels of the cells where it does not."""
    nucleus, unknown = np.zeros(cells.shape, bool), set()
    for label in range(1, int(cells.max(initial=0)) + 1):
        found = find_nucleus(light, cells == label)
        if found is None:
            unknown.add(label)
        else:
            nucleus |= found
    return nucleus, frozenset(unknown)


def _middles(of_image: pl.DataFrame, mask: Bools, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Return the middles of a field's boxes of cells without a nucleus, in random order."""
    height, width = mask.shape
    middles = []
    for row in of_image.filter(pl.col("label").is_in(NOT_NUCLEATED)).iter_rows(named=True):
        x = min(row["x_px"] + row["width_px"] / 2, width - 1)
        y = min(row["y_px"] + row["height_px"] / 2, height - 1)
        if not mask[int(y), int(x)]:
            middles.append((x, y))
    rng.shuffle(middles)
    return middles


def _choose_places(inside: Bools, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    ys, xs = np.nonzero(inside)
    if not len(xs):
        return []
    return [(float(xs[i]), float(ys[i])) for i in rng.integers(0, len(xs), count)]


def _choose_lone(rows: pl.DataFrame, traits: SetTraits, seed: int) -> list[dict[str, Any]]:
    if not traits.lone_labels:
        return []
    fitting = pl.col("source_label").is_in(traits.lone_labels) & pl.col("mask_path").is_null()
    place = np.flatnonzero(rows.select(fitting).to_series().to_numpy())
    chosen = np.sort(np.random.default_rng(seed).permutation(place)[: traits.lone_images])
    return rows[chosen].rows(named=True)


def _read_lone(row: dict[str, Any], traits: SetTraits) -> AnnotatedImage | None:
    """Return a crop whose middle cell touches nothing and has a plain nucleus, else None."""
    image = read_labelled_image(Path(row["path"]), row["mpp"], None)
    mpp = _choose_mpp(image, traits, is_field=False)
    smooth = balance(image.rgb, image.background, LONE_SMOOTHED_UM / mpp)
    cell = find_lone_cell(smooth, mpp)
    nucleus = None if cell is None else find_nucleus(smooth, cell)
    if cell is None or nucleus is None:
        return None
    cells = cell.astype(np.int32)
    return AnnotatedImage(
        Path(row["path"]).name, traits.name, mpp, image.light, nucleus, cells, [], row["fold"]
    )
