"""Diameter and N:C ratio by stage, made ready for a strip and box plot."""

from __future__ import annotations

import numpy as np
import polars as pl

from erythron.cells.classes import ERYTHROID_STAGES
from erythron.cells.table import is_classified
from erythron.report.model import Distribution, GroupSpread

COLUMNS = ("counted_as", "cell_diameter_um", "cell_diameter_px", "nc_ratio")
"""The columns of the cells table that are read."""

_STRIP = 120
"""Cells shown of each stage."""


def make_distributions(cells: pl.DataFrame) -> tuple[Distribution, ...]:
    """Return the distributions of the erythroid stages.

    Cells that are unclassified or left out do not enter.

    Args:
        cells: rows of one or more cells tables, with :data:`COLUMNS`.
    """
    counted = cells.filter(is_classified())
    has_um = bool(counted["cell_diameter_um"].is_not_null().any())
    wanted = (
        ("cell_diameter_um", "Cell diameter, µm") if has_um else ("cell_diameter_px", "Cell diameter, px"),
        ("nc_ratio", "N:C ratio (area of nucleus to that of cytoplasm)"),
    )
    found = (_spread(counted, column, title) for column, title in wanted)
    return tuple(distribution for distribution in found if distribution.groups)


def _spread(cells: pl.DataFrame, column: str, title: str) -> Distribution:
    groups = []
    for stage in ERYTHROID_STAGES:
        values = cells.filter(pl.col("counted_as") == stage.name)[column].drop_nulls().sort().to_numpy()
        values = values[np.isfinite(values)]
        if len(values) == 0:
            continue
        low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
        ranks = np.unique(np.linspace(0, len(values) - 1, min(len(values), _STRIP)).round().astype(np.int64))
        shown = tuple(values[ranks].tolist())
        groups.append(GroupSpread(stage.name, len(values), (low, middle, high), shown))
    # A nucleus with hardly any cytoplasm has a ratio beyond any axis that shows the others.
    highest = max((3 * g.quartiles[2] for g in groups), default=1.0)
    largest = max((g.shown[-1] for g in groups), default=1.0)
    return Distribution(title, tuple(groups), _round_up(min(highest, largest)))


def _round_up(value: float) -> float:
    step = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * m >= value * (1 - 1e-9)))
