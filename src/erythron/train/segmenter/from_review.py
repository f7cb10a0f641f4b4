"""A segmentation network that learns from outlines which persons corrected: its decoder is fitted anew.

In: finished counts with a review, and the bundle that is to learn. Out: what the bundle of a run will outline
cells with: the refitted network where it is better on cells that it has not seen, else the one of before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import SEGMENTATION, Bundle
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.bundle.schema import DataSource, Estimate
from erythron.compare.bootstrap import limit_mean
from erythron.errors import BundleError, DataError
from erythron.files.tables import write_csv
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.outline_comparison import Agreement, OutlineImprovement, compare_networks
from erythron.train.segmenter.refit import RefitConfig, fit_decoder, make_samples
from erythron.train.segmenter.reviewed import Kind, ReviewedOutlines, gather_outlines
from erythron.train.segmenter.stored import read_network, write_network
from erythron.train.shared.evaluation import FOLDER as EVALUATION
from erythron.train.shared.intervals import estimate
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.segmentation_part import FOLDER, read_segmentation, store_facts, take_segmentation

SOURCE = "review"
"""Name of the reader's outlines among the data of a bundle."""

LEAST_CORRECTIONS = 20
"""Corrected outlines from which on a network learns: five to a fold of the comparison."""

BEFORE_AFTER = "outlines_before_after.csv"


@dataclass(frozen=True)
class LearnedOutlines:
    """What became of the segmentation network.

    Attributes:
        improvement: by learning; None where the network did not learn.
        note: why it did not, or why the one of before is kept; empty where there is nothing to say.
    """

    improvement: OutlineImprovement | None = None
    note: str = ""


def learn_outlines(
    runs: Sequence[Path],
    bundle: Bundle,
    out: Path,
    wanted: bool | None,
    progress: Progress = no_progress,
    config: RefitConfig | None = None,
) -> LearnedOutlines:
    """Keep a segmentation network in a run's folder: one that learned from a review where that is better.

    Args:
        runs: folders of finished counts with a review.
        bundle: which is to learn.
        out: folder of the run.
        wanted: whether the network is to learn; None where it is to if enough outlines were corrected.
        progress: called after each field and each fold.
        config: how the decoder is fitted; None as is usual.

    Raises:
        UsageError: a folder is no finished count.
        DataError: a picture is not what was counted; or the network is to learn, and too few outlines were
            corrected.
        BundleError: the network is to learn, and it has learned from a review already, or is no network that
            erythron trains.
    """
    if wanted is False:
        take_segmentation(bundle, out)
        return LearnedOutlines()
    found = gather_outlines(runs, bundle, progress)
    count = 0 if found is None else int(found.is_correction.sum())
    reason = _refuse_count(count) or _refuse_bundle(bundle)
    if found is None or reason:
        if wanted:
            raise (DataError if count < LEAST_CORRECTIONS else BundleError)(reason)
        take_segmentation(bundle, out)
        return LearnedOutlines(note=reason if count else "")
    return _learn(found, bundle, out, progress, config or RefitConfig())


def _refuse_count(count: int) -> str:
    """Return why so few corrections teach nothing; empty where they are enough."""
    if count >= LEAST_CORRECTIONS:
        return ""
    return (
        f"{count} outlines were corrected (added, split, merged, drawn or called no cell), and the "
        f"segmentation network learns from {LEAST_CORRECTIONS} on: fewer cannot show whether it got better; "
        "it stays as it is"
    )


def _refuse_bundle(bundle: Bundle) -> str:
    """Return why the network of a bundle cannot learn; empty where it can."""
    if all(data.name != SOURCE for data in bundle.card.outline_data):
        return ""
    return (
        f"the segmentation network of {bundle.path} has learned from a review already, so a reader's cells "
        "may not be new to it; it stays as it is. To learn anew, give the bundle from before and all counts"
    )


def _learn(
    found: ReviewedOutlines, bundle: Bundle, out: Path, progress: Progress, config: RefitConfig
) -> LearnedOutlines:
    card, path = bundle.card.segmenter, bundle.segmentation_path
    net = read_network(path)
    samples = make_samples(net, found.windows, found.is_correction, config)

    def learn(allowed: NDArray[np.bool_]) -> Segmenter:
        return Segmenter(card, TorchRuntime(fit_decoder(net, samples, allowed, config)))

    before = Segmenter(card, OpenVinoRuntime(path))
    gain, was, now = compare_networks(found, before, learn, progress)
    _write_places(found, was, now, out / EVALUATION / BEFORE_AFTER)
    take_segmentation(bundle, out)
    if not gain.is_gain:
        return LearnedOutlines(gain, "That is no sure gain, so the segmentation network stays as it is")
    fitted = fit_decoder(net, samples, np.ones(len(found.kind), np.bool_), config)
    difference = write_network(fitted, path, out / FOLDER / SEGMENTATION)
    part, _ = read_segmentation(out)
    mine = DataSource(name=SOURCE, licence="not stated", source="outlines that a reader corrected")
    part = part.model_copy(
        update={
            "outlines": _estimate_dice(found, now),
            "origin": f"{part.origin.removesuffix(', as are its figures')}, {describe_gain(gain)}",
            "data": (*part.data, mine),
            "detection": None,  # how often the refitted network finds a cell was not measured
            "export_difference": difference,
        }
    )
    store_facts(part, out)
    return LearnedOutlines(gain)


def describe_gain(gain: OutlineImprovement) -> str:
    """Return what a card says of a refitted network, as the end of a sentence."""
    cells, right_before, right_after = (sum(counts[i] for counts in gain.by_kind.values()) for i in range(3))
    (cell_before, cell_after), (nucleus_before, nucleus_after) = gain.cell_dice, gain.nucleus_dice
    return (
        f"its decoder refitted to {gain.corrections} outlines that a reader corrected in {gain.fields} "
        "fields: of cells that were not learned from, the mean Dice of the drawn ones went from "
        f"{cell_before:.3f} to {cell_after:.3f} and of their nuclei from {nucleus_before:.3f} to "
        f"{nucleus_after:.3f}, and of {cells} places {right_after} were right, {right_before} before"
    )


def _estimate_dice(found: ReviewedOutlines, now: Agreement) -> dict[str, Estimate]:
    """Return the Dice of the drawn cells by networks that had not seen them, with intervals over fields."""
    rows = found.judged
    drawn = found.kind[rows] == Kind.DRAWN
    fields = found.picture[rows][drawn]
    # A few fields are too few to draw from: the interval then speaks of these fields alone.
    groups = fields if len(np.unique(fields)) >= FEWEST_FIELDS else np.arange(len(fields))
    cell, nucleus = now.cell[drawn], now.nucleus[drawn]

    def mean(index: NDArray[np.int64]) -> dict[str, float]:
        return {
            f"{SOURCE}_cell_dice_mean": float(cell[index].mean()),
            f"{SOURCE}_nucleus_dice_mean": float(nucleus[index].mean()),
        }

    return estimate(mean, groups.astype(np.str_), 0, limit=limit_mean) if len(fields) > 1 else {}


FEWEST_FIELDS = 10
"""Fields from which on resampling draws fields and not cells, as for the agreement of readers."""


def _write_places(found: ReviewedOutlines, was: Agreement, now: Agreement, path: Path) -> None:
    """Write how every judged place agrees before and after."""
    rows = found.judged
    table = pl.DataFrame(
        {
            "path": [str(found.pictures[i].path) for i in found.picture[rows]],
            "x_px": found.places[rows, 0].round(1),
            "y_px": found.places[rows, 1].round(1),
            "reader": found.kind[rows].tolist(),
            "cell_dice_before": was.cell.round(4),
            "cell_dice_after": now.cell.round(4),
            "nucleus_dice_before": was.nucleus.round(4),
            "nucleus_dice_after": now.nucleus.round(4),
        }
    )
    write_csv(table, path)
