"""Cross-validated outlines: every image outlined as in use, by a network that did not see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.schema import Estimate, Framing
from erythron.cells.outline import CellOutline
from erythron.classify.framing import outline_crop
from erythron.compare.bootstrap import limit_mean
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
from erythron.train.shared.intervals import estimate

SCORE_SCHEMA: dict[str, pl.DataType] = {
    "source": pl.String(),
    "image": pl.String(),
    "group": pl.String(),
    "cell_dice": pl.Float64(),
    "nucleus_dice": pl.Float64(),
}
"""One row an image: its set as results call it, its path below the set's folder, its cross-validation group,
and the Dice of its cells and nuclei; that of nuclei is null where the mask draws none."""


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
            with whole_file(out / source / relative.with_suffix(".png")) as unfinished:
                Image.fromarray(outlined).save(unfinished, "PNG")
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
    figures: dict[str, Estimate] = {}
    for (source,), part in scores.group_by("source", maintain_order=True):
        groups = part["group"].to_numpy().astype(str)
        dice = {kind: part[f"{kind}_dice"].to_numpy().astype(np.float64) for kind in ("cell", "nucleus")}
        known = {kind: values for kind, values in dice.items() if not np.isnan(values).all()}
        rows = {
            f"{source}_{kind}_dice_{name}": ~np.isnan(values)
            for kind, values in known.items()
            for name in ("mean", "p10")
        }
        figures |= estimate(partial(_find_dice, str(source), known), groups, seed, rows, limit_mean)
    return figures


def _find_dice(
    source: str, dice: Mapping[str, NDArray[np.float64]], index: NDArray[np.int64]
) -> dict[str, float]:
    """Return mean and tenth percentile of each kind of Dice over some rows, nan where none has it."""
    found = {}
    for kind, values in dice.items():
        drawn = values[index]
        drawn = drawn[~np.isnan(drawn)]
        found[f"{source}_{kind}_dice_mean"] = float(drawn.mean()) if len(drawn) else float("nan")
        found[f"{source}_{kind}_dice_p10"] = float(np.percentile(drawn, 10)) if len(drawn) else float("nan")
    return found


def measure_dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return 2 |A and B| / (|A| + |B|), 0 where both are empty (Dice 1945, doi 10.2307/1932409)."""
    both, total = int((truth & found).sum()), int(truth.sum()) + int(found.sum())
    return 2 * both / max(total, 1)


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
