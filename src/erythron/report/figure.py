"""The differential and the overlay as one matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.outline import CellOutline
from erythron.cells.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.differential.counts import Differential
from erythron.errors import MissingExtraError
from erythron.quality.flags import in_percent
from erythron.report.lines import order_lines
from erythron.report.numbers import scale_value
from erythron.report.overlay import draw_overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_differential(
    rgb: NDArray[np.uint8], outlines: Sequence[CellOutline], cells: pl.DataFrame, differential: Differential
) -> Figure:
    """Return the image with its outlines beside the share of every nucleated class with its interval.

    Args:
        rgb: (H, W, 3) uint8.
        outlines: its cells.
        cells: their table.
        differential: of these cells.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plot", "draw a figure") from error
    figure = Figure(figsize=(12, 5), layout="constrained")
    picture, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    picture.imshow(draw_overlay(rgb, outlines, cells, legend=False))
    picture.set_axis_off()
    lines = [
        (line.title, line.of_nucleated, colour_of(line.name).hex)
        for line in order_lines(differential.classes)
        if line.of_nucleated is not None
    ]
    lines.append(("Unclassified", differential.unclassified, UNCLASSIFIED_COLOUR.hex))
    for place, (_, share, colour) in enumerate(lines):
        percent, low, high = (
            scale_value(value, is_share=True) for value in (share.fraction or 0.0, *share.interval)
        )
        bars.barh(place, percent, color=colour)
        bars.hlines(place, low, high, color="#6b7280")
    bars.set_yticks(range(len(lines)), [f"{title} ({share.count})" for title, share, _ in lines])
    bars.invert_yaxis()
    bars.set_xlim(left=0)
    bars.set_xlabel(f"% of nucleated cells, with {in_percent(differential.interval_level)} interval")
    bars.set_title(f"{differential.nucleated_cells} nucleated cells")
    return figure
