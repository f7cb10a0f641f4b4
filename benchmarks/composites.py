"""Composites of real crops with a known mix: raw against corrected error of each stage's share.

    python benchmarks/composites.py RUN [--composites 200] [--cells 400] [--json]

RUN is the folder of ``erythron train default --out RUN``; its ``evaluation/calls.csv`` holds what the models
of the folds that did not see a crop say of it. Half of the crops (whole groups, stage by stage) are
drawn with replacement to composites of known mix, the other half gives the confusion matrix; then the halves
change places, and all is done again for other halves. ``ERYTHRON_DATA_DIR`` names the data; seeds are fixed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from data_folder import add_data_option
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, Lineage
from erythron.differential.calls import Calls, Contrast, Knowledge
from erythron.differential.combined import estimate_contrasts
from erythron.differential.correction import ConfusionMatrix, adjust_to_prior_shift, invert_confusion
from erythron.train.folded_sets import MARROW_SET, read_folded

NUCLEATED = [c for c in DEFAULT_CLASSES if c.lineage is not Lineage.NOT_NUCLEATED]
NAMES = [c.name for c in NUCLEATED]
LINEAGES = tuple(c.lineage for c in NUCLEATED)
STAGES = len(ERYTHROID_STAGES)
SPLITS = 50
MIXES = {"steep": (0.6, 1.8, 40.0, 57.6), "flat": (25.0, 25.0, 25.0, 25.0)}
ERYTHROID_SHARE = 0.3
OTHERS = (0.55, 0.10, 0.05, 0.02, 0.03)


@dataclass(frozen=True)
class Crops:
    """Out-of-fold calls: truth (N,), call (N,), ``len(NAMES)`` for unclassified, probabilities (N, K)."""

    truth: NDArray[np.int64]
    call: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    group: NDArray[np.str_]


def read_crops(run: Path, data: Path) -> Crops:
    """Read the calls of a cross-validation; crops called a class without a nucleus are left out."""
    calls = pl.read_csv(run / "evaluation" / "calls.csv").drop("group", "label").rename({"called": "label"})
    calls = calls.with_columns(pl.col("path").str.split("/").list.last().alias("name"))
    rows = read_folded(MARROW_SET, 5, 0, data).rows.with_columns(
        pl.col("path").str.split("/").list.last().alias("name")
    )
    joined = calls.join(rows.select("name", "class", "group"), on="name", validate="1:1")
    joined = joined.filter(pl.col("label").is_in(NAMES) & pl.col("class").is_in(NAMES))
    probabilities = joined.select([f"prob_{n}" for n in NAMES]).to_numpy()
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    call = np.array([NAMES.index(label) for label in joined["label"]])
    call[joined["confidence"].to_numpy() < load_bundle().card.unclassified_below] = len(NAMES)
    truth = np.array([NAMES.index(name) for name in joined["class"]])
    return Crops(truth, call, probabilities, joined["group"].cast(pl.String).to_numpy().astype(str))


def split_crops(crops: Crops, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which crops are of the first half: whole groups, about half of every class."""
    first = np.zeros(len(crops.truth), dtype=bool)
    have = np.zeros((2, len(NAMES)))
    for group in rng.permutation(np.unique(crops.group)):
        members = crops.group == group
        kinds = np.bincount(crops.truth[members], minlength=len(NAMES)) > 0
        side = int(have[0, kinds].sum() > have[1, kinds].sum())
        have[side] += np.bincount(crops.truth[members], minlength=len(NAMES))
        first[members] = side == 0
    return first


def measure_errors(crops: Crops, mix: str, composites: int, cells: int) -> dict[str, dict[str, list[float]]]:
    """Return figures of each stage's share of the erythroid cells, by way of estimating.

    ``bias`` is the mean error and ``error`` the mean absolute error; ``covered`` is the share of composites
    whose combined interval holds the truth.
    """
    stages = np.array(MIXES[mix]) / sum(MIXES[mix])
    others = np.array(OTHERS) / sum(OTHERS)
    shares = np.concatenate([ERYTHROID_SHARE * stages, (1 - ERYTHROID_SHARE) * others])
    red = NAMES[:STAGES]
    contrasts = [Contrast((n,), tuple(m for m in red if m != n), "share") for n in red]
    rng = np.random.default_rng(list(MIXES).index(mix))
    errors: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in ("raw", "corrected", "inversion", "probabilities", "covered")
    }
    for _ in range(SPLITS):
        first = split_crops(crops, rng)
        for drawn in (first, ~first):
            table = np.zeros((len(NAMES), len(NAMES) + 1), np.int64)
            np.add.at(table, (crops.truth[~drawn], crops.call[~drawn]), 1)
            confusion = ConfusionMatrix(
                tuple(NAMES), tuple(NAMES), tuple(tuple(map(int, r)) for r in table), has_unclassified=True
            )
            rates = (table + 0.1) / (table + 0.1).sum(axis=1, keepdims=True)
            pools = [np.flatnonzero(drawn & (crops.truth == k)) for k in range(len(NAMES))]
            for _ in range(composites // (2 * SPLITS)):
                kinds = rng.multinomial(cells, shares)
                chosen = np.concatenate([rng.choice(p, n) for p, n in zip(pools, kinds, strict=True)])
                calls = np.bincount(crops.call[chosen], minlength=len(NAMES) + 1)
                left = chosen[crops.call[chosen] == len(NAMES)]
                dealt = crops.probabilities[left].sum(axis=0)[None]
                found = estimate_contrasts(
                    Calls(calls[None, :-1], calls[-1:], dealt),
                    Knowledge(confusion, LINEAGES),
                    contrasts,
                    0.95,
                )
                inverted = invert_confusion(rates, calls / calls.sum())
                # The head is fitted with every class weighing the same.
                prior = np.full(len(NAMES), 1 / len(NAMES))
                shifted = adjust_to_prior_shift(crops.probabilities[chosen], prior)
                for name, estimate in (
                    ("raw", calls[:STAGES] / max(calls[:STAGES].sum(), 1)),
                    ("corrected", np.array([e.value for e in found.estimates])),
                    ("inversion", inverted[:STAGES] / max(inverted[:STAGES].sum(), 1e-9)),
                    ("probabilities", shifted[:STAGES] / shifted[:STAGES].sum()),
                ):
                    errors[name].append(estimate - stages)
                inside = [
                    e.interval is not None and e.interval[0] <= s <= (e.interval[1] or 1.0)
                    for e, s in zip(found.estimates, stages, strict=True)
                ]
                errors["covered"].append(np.array(inside, dtype=float))
    covered = errors.pop("covered")
    found = {
        name: {
            "bias": [float(v) for v in np.mean(values, axis=0)],
            "error": [float(v) for v in np.mean(np.abs(values), axis=0)],
        }
        for name, values in errors.items()
    }
    found["corrected"]["covered"] = [float(v) for v in np.mean(covered, axis=0)]
    return found


def main() -> None:
    """Print the table of ``docs/results/intervals.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("run", type=Path)
    parser.add_argument("--composites", type=int, default=200)
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    crops = read_crops(options.run, options.data)
    found = {mix: measure_errors(crops, mix, options.composites, options.cells) for mix in MIXES}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{len(crops.truth)} crops, {options.composites} composites of {options.cells} cells for each mix\n"
    )
    print("| mix | estimate | figure | " + " | ".join(c.title for c in ERYTHROID_STAGES) + " | all |")
    print("|---|---|---|" + "---|" * (STAGES + 1))
    for mix, ways in found.items():
        for way, figures in ways.items():
            for figure, values in figures.items():
                every = np.mean(np.abs(values))
                cells = " | ".join(f"{100 * v:.1f}" for v in (*values, every))
                print(f"| {mix} | {way} | {figure} | {cells} |")


if __name__ == "__main__":
    main()
