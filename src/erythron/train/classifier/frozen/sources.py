"""A set of a recipe ready to fit: its folds, its partial labels and the features of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.classes import ERYTHROID_STAGES, find_type
from erythron.cells.outline import CellOutline
from erythron.classify.framing import outline_crop
from erythron.errors import DataError
from erythron.read.image import SmearImage
from erythron.segment.segmenter import Segmenter
from erythron.train.classifier.frozen.augmentation import MARGIN, augment, cut_plain, pool_features
from erythron.train.classifier.frozen.head import Examples
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.classifier.frozen.partial_labels import find_open, open_labels
from erythron.train.folded_sets import fold_rows
from erythron.train.recipe import FrozenRecipe, FrozenSet
from erythron.train.segmenter.sets import DEFAULT_SETS
from erythron.train.shared.backbones import PixelScaling
from erythron.train.shared.framed_cells import FramedCells, frame_rows, make_framing
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.sets import OpenedSet

STAGES = len(ERYTHROID_STAGES)


@dataclass(frozen=True)
class FoldedSet:
    """A set with its folds.

    Attributes:
        name: of the set.
        settings: what the recipe says of it.
        rows: manifest of the N cells that are used.
        folds: (N,) int64.
        left_out: ``path`` and ``reason`` of every image that is not used.
    """

    name: str
    settings: FrozenSet
    rows: pl.DataFrame
    folds: NDArray[np.int64]
    left_out: pl.DataFrame


@dataclass(frozen=True)
class Source:
    """A set ready to fit, N cells.

    Attributes:
        name: of the set.
        rows: manifest of its cells.
        is_judged: whether figures are of its cells.
        folds: (N,) int64.
        weights: (N,) float64, of each cell.
        allowed: (N, F) bool, fine classes that its label leaves open.
        samples: (N, D) float32 each, features and measurements: the cell as in use, then augmented.
        lineage_weight: share of the weights that teaches erythroid or not.
    """

    name: str
    rows: pl.DataFrame
    is_judged: bool
    folds: NDArray[np.int64]
    weights: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    samples: tuple[NDArray[np.float32], ...]
    lineage_weight: float = 1.0

    @property
    def erythroid(self) -> NDArray[np.float64]:
        """Return 1 for an erythroid cell, 0 for another and nan where the label does not say, (N,)."""
        inside, outside = self.allowed[:, :STAGES].any(axis=1), self.allowed[:, STAGES:].any(axis=1)
        return np.where(inside & outside, np.nan, inside.astype(np.float64))


@dataclass(frozen=True)
class FeatureMaker:
    """What makes features of images: encoder, scaling of its pixels, and the segmenter of each fold."""

    encoder: ShapeFeatures
    scaling: PixelScaling
    segmenters: Mapping[int, Segmenter]


def fold_set(opened: OpenedSet, recipe: FrozenRecipe) -> FoldedSet:
    """Assign folds, leave out cells that nothing can be learned from, and draw the cells that are used.

    Where a segmentation network learns from the same set, folds are of the whole manifest, so that they are
    those of the network; else of the cells that are drawn, because comparing all images of a set of 171,000
    to find those that show one piece of smear would take longer than the training. In both cases copies of an
    image and crops that show one piece of smear lie in one fold.

    Raises:
        DataError: the set has no cell to learn from, or fewer cross-validation groups than folds.
    """
    entry = opened.entry
    if not isinstance(entry, FrozenSet):
        raise TypeError(f"{opened.name} is a set of another kind of recipe")
    left_out = [opened.left_out]
    if entry.per_label is None or _has_network(entry, recipe):
        used = _fold(opened.name, opened.whole, recipe)
        used = used.filter(pl.col("sha256").is_in(opened.rows["sha256"].implode()))
        rows = _draw(_keep_open(opened.name, used, left_out), entry.per_label, recipe.seed)
    else:
        drawn = _draw(_keep_open(opened.name, opened.rows, left_out), entry.per_label, recipe.seed)
        rows = _fold(opened.name, drawn, recipe)
    return FoldedSet(opened.name, entry, rows.drop("fold"), rows["fold"].to_numpy(), pl.concat(left_out))


def _has_network(entry: FrozenSet, recipe: FrozenRecipe) -> bool:
    """Return whether a segmentation network is fitted on a set."""
    settings = recipe.segmenter
    return settings.fit and entry.data in {s.data for s in settings.sets or DEFAULT_SETS}


def _fold(name: str, rows: pl.DataFrame, recipe: FrozenRecipe) -> pl.DataFrame:
    try:
        whole, folds = fold_rows(rows, recipe.folds, recipe.seed)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return whole.with_columns(fold=folds)


def _keep_open(name: str, rows: pl.DataFrame, left_out: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows that something can be learned from, and add the others to ``left_out``."""
    is_open = pl.Series([bool(find_open(find_type(label))) for label in rows["label"]], dtype=pl.Boolean)
    reason = pl.concat_str(pl.lit("a classifier of nucleated cells learns nothing from: "), "label")
    left_out.append(rows.filter(~is_open).select("path", reason=reason))
    kept = rows.filter(is_open)
    if kept.is_empty():
        raise DataError(f"{name}: has no cell that the head can learn from; leave the set out")
    return kept


def _draw(rows: pl.DataFrame, per_label: int | None, seed: int) -> pl.DataFrame:
    if per_label is None:
        return rows
    parts = [
        part.sample(min(per_label, part.height), seed=seed)
        for _, part in rows.group_by("source_label", maintain_order=True)
    ]
    return pl.concat(parts).sort("path", maintain_order=True)


def make_source(folded: FoldedSet, recipe: FrozenRecipe, maker: FeatureMaker, progress: Progress) -> Source:
    """Outline and frame the cells of a set and make the features of each; images without a cell are left out.

    Raises:
        DataError: an image cannot be read, or no cell was found in any.
    """
    framing = make_framing(recipe.inputs)
    folds = folded.folds

    def outline(number: int, image: SmearImage) -> CellOutline | None:
        return outline_crop(image, maker.segmenters[int(folds[number])], framing)

    cells = frame_rows(folded.rows, recipe.inputs, MARGIN, outline, progress)
    kept = np.flatnonzero(cells.has_cell)
    if not len(kept):
        raise DataError(f"{folded.name}: no cell was found in any of its images; check their scale")
    cells = cells.take(kept)
    labels = cells.rows["label"].to_list()
    # Every label counts the same.
    _, key, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    return Source(
        folded.name,
        cells.rows,
        folded.settings.judged,
        folds[kept],
        folded.settings.weight / counts[key] / len(counts),
        open_labels(labels),
        make_samples(cells, folded.settings.samples, recipe, maker, progress),
        folded.settings.lineage_weight,
    )


def make_samples(
    cells: FramedCells,
    count: int,
    recipe: FrozenRecipe,
    maker: FeatureMaker,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.float32], ...]:
    """Return features and measurements of N cells as they are, then of augmented samples, (N, D) each.

    Args:
        cells: framed with ``MARGIN``.
        count: of augmented samples.
        recipe: how they are varied.
        maker: of the features.
        progress: called before the first sample and after each.
    """
    size, first = recipe.inputs.px, recipe.seed * 1000
    varied = (augment(cells, size, recipe.samples, seed) for seed in range(first, first + count))
    stage = f"Features of {cells.rows.height} cells"
    made = []
    for number, sample in enumerate(chain([cut_plain(cells, size)], varied)):
        progress(stage, number, count + 1)
        made.append(np.hstack([pool_features(sample, maker.encoder, maker.scaling), sample.inputs]))
    progress(stage, count + 1, count + 1)
    return tuple(made)


def join_examples(sources: Sequence[Source], without: int | None) -> Examples:
    """Return the examples of several sets, all or those outside a fold."""
    features, allowed, weights, lineage = [], [], [], []
    for source in sources:
        kept = source.folds != without if without is not None else np.ones(len(source.folds), bool)
        for sample in source.samples:
            features.append(sample[kept])
            allowed.append(source.allowed[kept])
            weights.append(source.weights[kept] / len(source.samples))
            lineage.append(np.full(np.count_nonzero(kept), source.lineage_weight))
    return Examples(*(np.concatenate(part) for part in (features, allowed, weights, lineage)))
