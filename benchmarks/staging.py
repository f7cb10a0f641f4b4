"""Staging by the default model's recipe beside its peers, on the same marrow cells, each called out of fold.

    erythron train default --out RUN
    python benchmarks/staging.py --run RUN --out WORK [--epochs N]

Peers, all in the same grouped cross-validation: a random forest on the 18 measurements, EfficientNet-Lite0
fine-tuned on the image alone, and the published structure and recipe with EfficientNet-Lite0 in both branches
(its own backbones need weights that no package holds). The forest's measurements come from the outlines of
the shipped bundle, which has seen some of these crops drawn: that favours it. Prints a table of figures and
the paired differences of the default model and each peer, with 95 % intervals from resampled groups and
McNemar's test of the stage calls. An interrupted run goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from data_folder import add_data_option
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES
from erythron.classify.framing import outline_crop
from erythron.compare.bootstrap import limit_mean
from erythron.segment.segmenter import load_segmenter
from erythron.train.experiments.grids import ABLATION
from erythron.train.experiments.runner import Plan, do_runs, find_calls, list_runs
from erythron.train.folded_sets import MARROW_SET, read_folded
from erythron.train.recipe import InputSettings
from erythron.train.recipe_file import load_fine_tuned, vary_recipe
from erythron.train.shared.evaluation import CALLS, FOLDER
from erythron.train.shared.framed_cells import frame_rows, make_framing
from erythron.train.shared.hardware import Hardware
from erythron.train.shared.intervals import compare_right, estimate
from erythron.train.shared.metrics import Ints
from erythron.train.shared.scores import find_figures, find_rows

CLASSES = [c.name for c in DEFAULT_CLASSES]
FIGURES = ("stage_accuracy", "stage_macro_f1", "stage_quadratic_kappa", "five_way_macro_f1", "erythroid_auc")
NETWORKS = {"image only": "image-only EfficientNet-Lite0", "published": "the published structure and recipe"}
FOLDS, SEED = 5, 0
STAGES = len(ERYTHROID_STAGES)


@dataclass(frozen=True)
class Scored:
    """N cells: truth (N,), index of the true class, and probabilities (N, C)."""

    truth: Ints
    probabilities: NDArray[np.float64]

    def take(self, index: Ints) -> Scored:
        """Return the cells of the given rows, repeats allowed."""
        return Scored(self.truth[index], self.probabilities[index])


def read_calls(table: pl.DataFrame, column: str, paths: list[str]) -> NDArray[np.float64]:
    """Return (N, C) probabilities of the cells at ``paths``; a class that the peer lacks has 0."""
    by_path = pl.DataFrame({column: paths}).join(table, on=column, how="left", maintain_order="left")
    columns = [by_path[f"prob_{c}"] if f"prob_{c}" in by_path.columns else None for c in CLASSES]
    return np.stack([np.zeros(len(paths)) if c is None else c.to_numpy() for c in columns], 1)


def call_forest(rows: pl.DataFrame, fold_of: Ints) -> pl.DataFrame:
    """Return out-of-fold calls of a random forest on the measurements of the shipped bundle's outlines."""
    inputs = InputSettings(px=96, mpp=0.25)
    segmenter, framing = load_segmenter(load_bundle()), make_framing(inputs)
    cells = frame_rows(rows, inputs, 1.0, lambda _, image: outline_crop(image, segmenter, framing))
    cells = cells.take(np.flatnonzero(cells.has_cell))
    fold = pl.DataFrame({"path": rows["path"], "fold": fold_of})
    fold_of = cells.rows.join(fold, on="path", maintain_order="left")["fold"].to_numpy()
    truth = cells.rows["class"].to_numpy().astype(str)
    probabilities = np.zeros((len(truth), len(CLASSES)))
    for k in range(FOLDS):
        forest = RandomForestClassifier(500, class_weight="balanced", random_state=SEED)
        forest.fit(cells.inputs[fold_of != k], truth[fold_of != k])
        found = forest.predict_proba(cells.inputs[fold_of == k])
        for name, column in zip(forest.classes_, found.T, strict=True):
            probabilities[fold_of == k, CLASSES.index(name)] = column
    named = {f"prob_{c}": probabilities[:, i] for i, c in enumerate(CLASSES)}
    return pl.DataFrame({"path": cells.rows["path"], **named})


def call_networks(rows: pl.DataFrame, out: Path, epochs: int, threads: int) -> dict[str, pl.DataFrame]:
    """Return out-of-fold calls of the trained peers by their name."""
    changes: dict[str, object] = {"label_column": "class", "inputs.px": 112, "inputs.mpp": 0.25}
    base = vary_recipe(load_fine_tuned("small"), {**changes, "fit.epochs": epochs, "fit.batch_size": 16})
    arms = tuple(arm for arm in ABLATION.arms if arm.name in NETWORKS)
    plan = Plan(arms, base, seeds=1, folds=FOLDS)
    do_runs(plan, rows, out, Hardware(accelerator="cpu", threads=threads), print)
    calls: dict[str, list[pl.DataFrame]] = {}
    for key in list_runs(plan):
        calls.setdefault(NETWORKS[key.arm.name], []).append(pl.read_csv(find_calls(out, key)))
    return {name: pl.concat(tables) for name, tables in calls.items()}


def main() -> None:
    """Call the cells by every peer and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--run", type=Path, required=True, help="run of erythron train default")
    parser.add_argument("--out", type=Path, required=True, help="folder for the peers' runs")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    marrow = read_folded(MARROW_SET, FOLDS, SEED, options.data)
    # Drawn outlines are no part of use: every cell of every peer is outlined by a network.
    rows = marrow.rows.with_columns(mask_path=pl.lit(None, pl.String), mask_kind=pl.lit(None, pl.String))
    calls = {
        "erythron": pl.read_csv(options.run / FOLDER / CALLS),
        "random forest on measurements": call_forest(rows, marrow.fold),
        **call_networks(rows, options.out, options.epochs, options.threads),
    }
    common = rows
    for table in calls.values():
        common = common.join(table.select("path").unique(), on="path", how="semi", maintain_order="left")
    truth = np.array([CLASSES.index(name) for name in common["class"]])
    groups = common["group"].to_numpy().astype(str)
    scored = {
        name: Scored(truth, read_calls(t, "path", common["path"].to_list())) for name, t in calls.items()
    }
    print(f"{len(truth)} cells, {int((truth < STAGES).sum())} of them staged erythroblasts\n")
    print(f"| model | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    for name, mine in scored.items():
        found = estimate(lambda i, m=mine: _figures(m.take(i)), groups, SEED, find_rows(truth, CLASSES))
        cells = (f"{found[f].value:.3f} ({found[f].low:.3f} to {found[f].high:.3f})" for f in FIGURES)
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n| erythron less | {' | '.join(FIGURES)} | stages right alone (it, peer) | McNemar's p |")
    print(f"|---|{'---|' * (len(FIGURES) + 2)}")
    ours = scored["erythron"]
    for name, other in list(scored.items())[1:]:
        found = estimate(
            lambda i, o=other: _differences(ours.take(i), o.take(i)), groups, SEED, limit=limit_mean
        )
        cells = (f"{found[f].value:+.3f} ({found[f].low:+.3f} to {found[f].high:+.3f})" for f in FIGURES)
        a, b = _right(ours), _right(other)
        alone = f"{int((a & ~b).sum())}, {int((b & ~a).sum())}"
        print(f"| {name} | {' | '.join(cells)} | {alone} | {compare_right(a, b):.2g} |")


def _right(scored: Scored) -> NDArray[np.bool_]:
    staged = scored.truth < STAGES
    return np.asarray(scored.probabilities[staged, :STAGES].argmax(axis=1) == scored.truth[staged])


def _figures(scored: Scored) -> dict[str, float]:
    found = find_figures(scored.truth, scored.probabilities, CLASSES)
    return {name: found[name] for name in FIGURES}


def _differences(first: Scored, second: Scored) -> dict[str, float]:
    a, b = _figures(first), _figures(second)
    return {name: a[name] - b[name] for name in FIGURES}


if __name__ == "__main__":
    main()
