"""Curves of training: loss and accuracy after every epoch, as a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from matplotlib import colormaps
from matplotlib.figure import Figure

from erythron.files.tables import read_csv, write_csv
from erythron.files.writing import whole_file

CURVES = "curves.csv"
FIGURE = "curves.png"

CURVE_SCHEMA: dict[str, pl.DataType] = {
    "epoch": pl.Int64(),
    "rate": pl.Float64(),
    "train_loss": pl.Float64(),
    "train_accuracy": pl.Float64(),
    "validation_loss": pl.Float64(),
    "validation_accuracy": pl.Float64(),
}
"""Columns: epoch from 1, learning rate of its last step, then the means of its batches, as augmented, and
those of the validation part after it; the latter are empty where there is none."""

_PANELS = ("loss", "accuracy")
_DPI = 150
_COLOURS = colormaps["tab20"]


def write_curve(epochs: Sequence[dict[str, float | int | None]], path: Path) -> None:
    """Write the epochs of one run, with keys of ``CURVE_SCHEMA``, as CSV."""
    write_csv(pl.DataFrame(list(epochs), schema=CURVE_SCHEMA), path)


def read_curve(path: Path) -> pl.DataFrame:
    """Return the epochs of one run, columns of ``CURVE_SCHEMA``."""
    return read_csv(path).select(pl.col(name).cast(kind) for name, kind in CURVE_SCHEMA.items())


def draw_curves(curves: dict[str, pl.DataFrame], path: Path) -> None:
    """Draw loss and accuracy over the epochs: training dashed, validation solid, a colour for each name.

    Args:
        curves: by name; of several runs under one name the mean of those that have the epoch is drawn.
        path: of the picture.
    """
    figure = Figure(figsize=(11, 3.6 + 0.14 * max(0, len(curves) - 20)), layout="constrained")
    has_validation = any(t["validation_loss"].null_count() < len(t) for t in curves.values())
    for axes, panel in zip(figure.subplots(1, 2), _PANELS, strict=True):
        for number, (name, table) in enumerate(curves.items()):
            mean = table.group_by("epoch").mean().sort("epoch")
            colour = _COLOURS(number % _COLOURS.N)
            for part, style in (("train", "--"), ("validation", "-")):
                value = mean[f"{part}_{panel}"]
                if value.null_count() < len(value):
                    is_named = part == "train"
                    label = name.replace("_", " ") if is_named else None
                    axes.plot(mean["epoch"], value, linestyle=style, color=colour, label=label, linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=panel)
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[-1].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    solid = "; solid: validation" if has_validation else ""
    figure.suptitle(f"dashed: training, as augmented{solid}", fontsize=8)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=_DPI, format="png")
