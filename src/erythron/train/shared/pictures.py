"""Pictures of an evaluation and of an experiment, by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from erythron.bundle.schema import Estimate
from erythron.files.writing import whole_file
from erythron.train.shared.metrics import ECE_BINS, Floats, Ints, confusion

_DPI = 150


def draw_confusion(truth: Ints, called: Ints, classes: Sequence[str], path: Path) -> None:
    """Draw how often each true class (row) was called each class (column), coloured by the row's share."""
    count = len(classes)
    table = confusion(truth, called, count, count)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 2.5 + 0.55 * count
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if share[row, column] > 0.6 else "black"
        axes.text(column, row, str(value), ha="center", va="center", color=colour)
    names = [c.replace("_", " ") for c in classes]
    axes.set_xticks(range(count), names, rotation=60, ha="right")
    axes.set_yticks(range(count), names)
    axes.set_xlabel("called")
    axes.set_ylabel("label")
    _save(figure, path)


def draw_reliability(truth: Ints, probabilities: Floats, path: Path) -> None:
    """Draw accuracy over confidence in ten bins, with the number of cells of each."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    of = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    count = np.bincount(of, minlength=ECE_BINS)
    filled = count > 0
    mean_confidence = np.bincount(of, confidence, ECE_BINS)[filled] / count[filled]
    accuracy = np.bincount(of, right, ECE_BINS)[filled] / count[filled]
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(mean_confidence, accuracy, marker="o")
    for x, y, n in zip(mean_confidence, accuracy, count[filled], strict=True):
        axes.annotate(str(n), (x, y), textcoords="offset points", xytext=(5, -9), fontsize=8)
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    _save(figure, path)


def draw_precision_recall(truth: Ints, probabilities: Floats, classes: Sequence[str], path: Path) -> None:
    """Draw precision over recall of each class that has cells."""
    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(classes):
        positive = truth == i
        if not positive.any():
            continue
        order = np.argsort(-probabilities[:, i], kind="stable")
        hits = np.cumsum(positive[order])
        precision, recall = hits / np.arange(1, len(order) + 1), hits / positive.sum()
        axes.plot(
            recall, precision, label=f"{name.replace('_', ' ')} ({positive.sum()})", drawstyle="steps-post"
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(fontsize=7)
    _save(figure, path)


def draw_estimates(rows: Sequence[tuple[str, Estimate]], label: str, path: Path) -> None:
    """Draw figures with their intervals below each other, the first at the top.

    Args:
        rows: name and figure.
        label: of the axis.
        path: of the picture.
    """
    figure = Figure(figsize=(7, 0.9 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, (_, value) in enumerate(rows):
        axes.plot([value.low, value.high], [y, y], color="steelblue", linewidth=2)
        axes.plot(value.value, y, marker="o", color="steelblue")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=_DPI, format="png")
