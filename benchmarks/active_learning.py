"""What a reader's calls teach the model: learning curves, cells chosen by the queue against at random.

    python benchmarks/active_learning.py --data SETS [--bundle BUNDLE] [--seeds 5]

A simulated reader calls 25, 50, 100 and 200 cells of one half of a set, as its labels have them; the other
half judges, and cross-validation groups lie whole in one half. (a) the marrow crops, by a model that has
seen blood alone; (b) marrow cells of another laboratory, none of them erythroid, by the shipped recipe's
model: the share that is surely called erythroid; (c) the marrow crops recoloured and blurred, by a model that
has seen the judging half in neither form. The table has means and ranges over seeds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from erythron.bundle.folder import load_bundle
from erythron.classify.classifier import soften
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.review.queue import order_by_need
from erythron.segment.segmenter import load_segmenter
from erythron.train.classifier.frozen.from_review import FULL_WEIGHT, weigh_labels
from erythron.train.classifier.frozen.head import FittedHead, fit_head
from erythron.train.classifier.frozen.left_out import CLASSES
from erythron.train.classifier.frozen.memory import MEMORY, Memory, read_memory
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.classifier.frozen.partial_labels import merge_logits, open_labels
from erythron.train.classifier.frozen.sources import (
    STAGES,
    FeatureMaker,
    Source,
    fold_set,
    join_examples,
    make_source,
)
from erythron.train.recipe import FrozenSet, HeadSettings
from erythron.train.shared.backbones import ENCODER, find_scaling, load_encoder
from erythron.train.shared.sets import open_sets

BUDGETS = (25, 50, 100, 200)
SAMPLES = 4
"""Samples of each cell, the one as it is among them: fewer than in use, so that this takes minutes."""

POWERS = (0.75, 1.3, 1.15)
TINT = (1.0, 0.94, 0.88)
BLUR_PX = 1.2
"""The other scanner of (c): light to a power for each channel (Beer and Lambert), tinted, out of focus."""

Floats = NDArray[np.float64]
Judge = Callable[[Floats, NDArray[np.int64]], float]


@dataclass(frozen=True)
class Task:
    """One question.

    Attributes:
        name: as printed.
        pool: the set whose cells are called and judged; a cell's class is the label.
        base: the sets of the model that learns, given which rows of the pool judge.
        judge: the share of judging cells that is wrong, from logits and true classes.
        settings: of the head.
    """

    name: str
    pool: Source
    base: Callable[[NDArray[np.bool_]], list[Source]]
    judge: Judge
    settings: HeadSettings


def find_errors(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Return the share of cells that are called another class than theirs."""
    return float((logits.argmax(axis=1) != truth).mean())


def make_judge_of_erythroid(temperature: float, threshold: float) -> Judge:
    """Return what gives the share of cells that are surely called erythroid."""

    def judge(logits: Floats, _truth: NDArray[np.int64]) -> float:
        said = soften(logits, temperature)
        return float(((said.argmax(axis=1) < STAGES) & (said.max(axis=1) >= threshold)).mean())

    return judge


def take(source: Source, rows: NDArray[np.bool_] | NDArray[np.int64], weight: float | None = None) -> Source:
    """Return some of a source's cells; with a weight they are a review, whose labels are the classes."""
    if rows.dtype == np.bool_:
        rows = np.flatnonzero(rows)
    kept = source.rows[rows]
    part = replace(
        source,
        rows=kept,
        folds=source.folds[rows],
        weights=source.weights[rows],
        allowed=source.allowed[rows],
        samples=tuple(sample[rows] for sample in source.samples),
    )
    if weight is None:
        return part
    labels = kept["class"].to_list()
    return replace(part, weights=weigh_labels(labels) * weight, allowed=open_labels(labels))


def learn(task: Task, by_queue: bool, seed: int) -> list[float]:
    """Return what the judge finds before any call and after each budget."""
    rng = np.random.default_rng(seed)
    groups = task.pool.rows["group"].to_numpy()
    names = rng.permutation(np.unique(groups))
    judging = np.isin(groups, names[: len(names) // 2])
    truth = np.array([CLASSES.index(name) for name in task.pool.rows["class"]])
    called = np.zeros(len(judging), bool)
    base = task.base(judging)
    found, plain = [], task.pool.samples[0]
    head = fit_head(join_examples(base, None), task.settings)
    for budget in (0, *BUDGETS):
        if budget:
            more = min(budget, int((~judging).sum())) - int(called.sum())
            called[_choose(head, plain, called, judging, more, rng if not by_queue else None)] = True
            review = take(task.pool, called, min(1.0, int(called.sum()) / FULL_WEIGHT))
            head = fit_head(join_examples([*base, review], None), task.settings)
        found.append(task.judge(merge_logits(head.logits(plain[judging])), truth[judging]))
    return found


def _choose(
    head: FittedHead,
    plain: NDArray[np.float32],
    called: NDArray[np.bool_],
    judging: NDArray[np.bool_],
    more: int,
    rng: np.random.Generator | None,
) -> NDArray[np.int64]:
    pool = np.flatnonzero(~judging)
    if rng is not None:
        return rng.permutation(pool[~called[pool]])[:more]
    said = soften(merge_logits(head.logits(plain[pool])), 1.0)
    traits = np.hstack([said, plain[pool][:, -len(MEASUREMENT_INPUTS) :]])
    return pool[order_by_need(said, traits, called[pool], more)]


def shorten(source: Source) -> Source:
    """Return a source with fewer samples of each cell."""
    return replace(source, samples=source.samples[:SAMPLES])


def read_source(folder: Path, memory: Memory, maker: FeatureMaker, name: str) -> Source:
    """Return the cells of a folder of class folders that have a class, ready to fit."""
    entry = FrozenSet(data=str(folder), samples=SAMPLES - 1)
    folded = fold_set(open_sets([entry])[0], memory.recipe)
    made = replace(make_source(folded, memory.recipe, maker, lambda *_: None), name=name)
    return take(made, made.rows["class"].is_not_null().to_numpy())


def restain(marrow: Source, root: Path, folder: Path) -> None:
    """Write the marrow crops as another scanner would show them, in a folder for each class."""
    files = {path.name: path for path in (root / "pathology-bites-cells").rglob("*.png")}
    for name, kind in marrow.rows.select("path", "class").iter_rows():
        light = np.asarray(Image.open(files[name]).convert("RGB"), np.float64) / 255
        pixels = (light ** np.array(POWERS) * np.array(TINT) * 255).round().astype(np.uint8)
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(BLUR_PX)).save(folder / kind / name)


def make_tasks(memory: Memory, bundle: Path | None, root: Path) -> Sequence[Task]:
    """Return the three questions."""
    loaded = load_bundle(bundle)
    marrow, blood = (shorten(source) for source in memory.sources[:2])
    segmenters = dict.fromkeys(range(memory.recipe.folds), load_segmenter(loaded))
    maker = FeatureMaker(ShapeFeatures(load_encoder()).eval(), find_scaling(ENCODER), segmenters)
    other = read_source(root / "matek-marrow", memory, maker, "matek-marrow")
    with TemporaryDirectory() as folder:
        restain(marrow, root, Path(folder))
        scanned = read_source(Path(folder), memory, maker, "restained")
    group_of = dict(marrow.rows.select("path", "group").iter_rows())
    names = [Path(p).name for p in scanned.rows["path"]]
    scanned = replace(scanned, rows=scanned.rows.with_columns(group=pl.Series([group_of[n] for n in names])))

    def without(judging: NDArray[np.bool_]) -> list[Source]:
        out = scanned.rows["group"].filter(pl.Series(judging))
        return [take(marrow, ~marrow.rows["group"].is_in(out.implode()).to_numpy()), blood]

    surely = make_judge_of_erythroid(loaded.card.temperature, loaded.card.unclassified_below)
    settings = memory.recipe.head
    names = (
        "(a) marrow crops, from blood alone: errors",
        "(b) another laboratory: surely erythroid",
    )
    return (
        Task(names[0], marrow, lambda _: [blood], find_errors, settings),
        Task(names[1], other, lambda _: [marrow, blood], surely, settings),
        Task("(c) marrow recoloured and blurred: errors", scanned, without, find_errors, settings),
    )


def main() -> None:
    """Print the tables of ``docs/results/active-learning.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("ERYTHRON_DATA_DIR"), help="folder of the sets"
    )
    parser.add_argument("--bundle", type=Path, help="the shipped one by default")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data, the folder of the sets, or set ERYTHRON_DATA_DIR")
    torch.set_num_threads(2)
    memory = read_memory(load_bundle(options.bundle).path / MEMORY)
    print(f"{options.seeds} seeds; per cent, mean (least to most)\n")
    print("| question | cells chosen | 0 | " + " | ".join(map(str, BUDGETS)) + " |")
    print("|---" * (3 + len(BUDGETS)) + "|")
    started = time.monotonic()
    for task in make_tasks(memory, options.bundle, options.data):
        for by_queue in (True, False):
            found = 100 * np.array([learn(task, by_queue, seed) for seed in range(options.seeds)])
            cells = " | ".join(f"{c.mean():.1f} ({c.min():.1f}-{c.max():.1f})" for c in found.T)
            print(f"| {task.name} | {'by the queue' if by_queue else 'at random'} | {cells} |", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
