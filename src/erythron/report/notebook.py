"""A counted image as a notebook shows it: the differential as a table, and the overlay."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.outline import CellOutline
from erythron.cells.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.differential.counts import Differential, Proportion
from erythron.quality.flags import in_percent, is_provisional
from erythron.report.lines import order_lines
from erythron.report.numbers import format_index, format_index_limits, format_limits, format_percent
from erythron.report.overlay import draw_overlay, make_overlay_picture
from erythron.report.wording import end_sentence, explain_nothing

_SHOWN_PX = 900


def render_notebook(
    name: str,
    rgb: NDArray[np.uint8],
    outlines: Sequence[CellOutline],
    cells: pl.DataFrame,
    differential: Differential,
) -> str:
    """Return an HTML fragment that needs no network, no script and no style of the page around it.

    Args:
        name: what to call the image.
        rgb: (H, W, 3) uint8.
        outlines: its cells.
        cells: their table.
        differential: of these cells.
    """
    lines = [
        _make_row(line.title, line.of_nucleated, colour_of(line.name).hex)
        for line in order_lines(differential.classes)
        if line.of_nucleated is not None and line.count
    ]
    if differential.unclassified.count:
        lines.append(_make_row("Unclassified", differential.unclassified, UNCLASSIFIED_COLOUR.hex))
    indices = "".join(
        f"<li>{escape(i.title)}: {format_index(i)} ({format_index_limits(i)})</li>"
        for i in differential.indices
    )
    level = in_percent(differential.interval_level)
    overlay = draw_overlay(rgb, outlines, cells, legend=False)
    picture = make_overlay_picture(overlay, 1, _SHOWN_PX)
    return (
        f"<div>{_warn(differential)}"
        f"<p><b>{escape(name)}</b>: {differential.nucleated_cells} nucleated cells, of them "
        f"{differential.erythroid_cells} erythroid</p>"
        f"<table><thead><tr><th></th><th>Class</th><th>Cells</th><th>%</th><th>{level} interval</th></tr>"
        f"</thead><tbody>{''.join(lines)}</tbody></table><ul>{indices}</ul>"
        f'<img src="{picture.data_uri}" width="{picture.width_px}" height="{picture.height_px}" '
        f'style="max-width:100%;height:auto" alt="{escape(name)} with its cells outlined">'
        "<p>Research use only: a qualified person confirms the calls.</p></div>"
    )


def _warn(differential: Differential) -> str:
    """Return the quality flags, under a line that a count which must not be read as a result begins with."""
    if not differential.flags:
        return ""
    flags = "".join(f"<li>{escape(end_sentence(flag.text))}</li>" for flag in differential.flags)
    title = ""
    if nothing := explain_nothing(differential):
        title = f"<p><b>Nothing was counted: {nothing}.</b></p>"
    elif is_provisional(differential.flags):
        title = "<p><b>Provisional: not to be reported as it stands.</b></p>"
    return f"{title}<ul>{flags}</ul>"


def _make_row(title: str, share: Proportion, colour: str) -> str:
    return (
        f'<tr><td style="background:{colour}"></td><td>{escape(title)}</td><td>{share.count}</td>'
        f"<td>{format_percent(share.fraction)}</td><td>{format_limits(share.interval)}</td></tr>"
    )
