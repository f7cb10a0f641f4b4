"""Cross-validated outlines: every image outlined as in use, by a network that did not see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.schema import Estimate, Framing
from erythron.cells.outline import CellOutline
from erythron.classify.framing import outline_crop
from erythron.datasets.masks import read_mask
from erythron.datasets.pixels import read_labelled_image
from erythron.files.writing import whole_file
from erythron.pipeline.field import outline_field
from erythron.segment.segmenter import Segmenter
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE, render_mask
from erythron.train.folded_sets import FoldedSet, read_folded_sets
from erythron.train.segmenter.annotations import has_mask
from erythron.train.segmenter.recipe import SegmenterConfig
from erythron.train.segmenter.sets import find_traits

SCORE_SCHEMA: dict[str, pl.DataType] = {
    "source": pl.String(),
    "image": pl.String(),
    "group": pl.String(),
    "cell_dice": pl.Float64(),
    "nucleus_dice": pl.Float64(),
}
"""One row an image: its set as results call it, its path below the set's folder, its cross-validation group,
and the Dice of its cells and nuclei; that of nuclei is null where the mask draws none."""

BOOTSTRAPS = 1000
"""Resamples of an interval; with 1,000 its ends have a standard error of 4 % of its half width."""


def outline_out_of_fold(
    config: SegmenterConfig, segmenters: Mapping[int, Segmenter], framing: Framing, out: Path
) -> pl.DataFrame:
    """Outline the images that have masks and write the outlines as the ``mask`` command does.

    Args:
        config: names the sets and the folds.
        segmenters: by fold, each with a network that was fitted without that fold.
        framing: the scales that are assumed.
        out: gets ``<set>/<path below the set's folder>.png``.

    Returns:
        Columns of ``SCORE_SCHEMA``.

    Raises:
        UsageError: a set has not been fetched.
        DataError: a set, an image or a mask cannot be read.
    """
    rows = []
    sources = [chosen.data for chosen in config.sets]
    for folded in read_folded_sets(sources, config.folds, config.seed, config.data):
        source = find_traits(folded.name).name
        for row, relative in _list_masked(folded):
            truth = read_mask(Path(row["mask_path"]), row["mask_kind"])
            outlined = render_mask(_outline(row, segmenters[row["fold"]], framing), *truth.cell.shape)
            with whole_file(out / source / relative.with_suffix(".png")) as partial:
                Image.fromarray(outlined).save(partial, "PNG")
            cell = measure_dice(truth.cell, outlined >= CYTOPLASM_VALUE)
            nucleus = None
            if truth.nucleus is not None:
                nucleus = measure_dice(truth.nucleus, outlined == NUCLEUS_VALUE)
            rows.append((source, relative.as_posix(), row["group"], cell, nucleus))
    return pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row")


def estimate_dice(scores: pl.DataFrame, seed: int) -> dict[str, Estimate]:
    """Return mean and tenth percentile of each set's Dice with 95 % intervals from resampled groups.

    Args:
        scores: columns of ``SCORE_SCHEMA``.
        seed: of the resampling.

    Returns:
        By ``<set>_cell_dice_mean`` and the like.
    """
    rng = np.random.default_rng(seed)
    figures = {}
    for (source,), part in scores.group_by("source", maintain_order=True):
        samples = resample_groups(part["group"], rng)
        for kind in ("cell", "nucleus"):
            values = part[f"{kind}_dice"].to_numpy().astype(np.float64)
            if np.isnan(values).all():
                continue
            for name, figure in (("mean", np.nanmean), ("p10", _take_tenth)):
                low, high = np.percentile([figure(values[index]) for index in samples], [2.5, 97.5]).round(4)
                figures[f"{source}_{kind}_dice_{name}"] = Estimate(
                    value=round(float(figure(values)), 4),
                    low=round(float(low), 4),
                    high=round(float(high), 4),
                )
    return figures


def resample_groups(groups: pl.Series, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the rows of ``BOOTSTRAPS`` resamples in which groups are drawn whole, with replacement."""
    _, group_of = np.unique(groups.to_numpy(), return_inverse=True)
    members = [np.flatnonzero(group_of == g) for g in range(group_of.max() + 1)]
    return [
        np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        for _ in range(BOOTSTRAPS)
    ]


def measure_dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return 2 |A and B| / (|A| + |B|), 0 where both are empty (Dice 1945, doi 10.2307/1932409)."""
    both, total = int((truth & found).sum()), int(truth.sum()) + int(found.sum())
    return 2 * both / max(total, 1)


def _take_tenth(values: NDArray[np.float64]) -> float:
    return float(np.nanpercentile(values, 10))


def _list_masked(folded: FoldedSet) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield the row of each image with a mask, and the image's path below the folder of the set."""
    for row in has_mask(folded).iter_rows(named=True):
        path = Path(row["path"])
        is_below = path.is_relative_to(folded.folder)
        yield row, path.relative_to(folded.folder) if is_below else Path(path.name)


def _outline(row: dict[str, Any], segmenter: Segmenter, framing: Framing) -> tuple[CellOutline, ...]:
    image = read_labelled_image(Path(row["path"]), row["mpp"], row["mask_kind"])
    if row["x_px"] is None:
        found = outline_crop(image, segmenter, framing)
        return () if found is None else (found,)
    return outline_field(image, lambda: segmenter, framing).outlines
