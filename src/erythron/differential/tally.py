"""From a table of cells to counts: how many were called what, and what the unclassified ones may be.

In: the labels, flags and probabilities of the cells of a field. Out: its
:class:`~erythron.differential.counts.CellCounts`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.classes import CellClass, Lineage
from erythron.cells.flags import CellFlag, has_flag
from erythron.cells.table import (
    LEFT_OUT,
    PROBABILITY,
    UNCLASSIFIED,
    count_as,
    count_as_confirmed,
    is_counted,
)
from erythron.differential.counts import CellCounts
from erythron.errors import DataError

_DECIMALS = 6
"""Of a sum of probabilities: what is read back from a file is then what was written."""

_TINY = 1e-300


def count_cells(cells: pl.DataFrame, classes: Sequence[CellClass]) -> CellCounts:
    """Count the calls of a table of cells.

    Args:
        cells: one row a cell, with the columns ``label`` and ``flags``, ``confirmed_as`` where a person has
            gone over them, and the probabilities of the classes where these are known.
        classes: the classes of the model.

    Raises:
        DataError: a label is the name of none of the classes.
    """
    names = [c.name for c in classes]
    _check_names(cells["label"], names)
    is_reviewed = "confirmed_as" in cells.columns
    counted = cells.select(
        count_as_confirmed() if is_reviewed else count_as(),
        has_flag(CellFlag.TOUCHES_EDGE).alias("touches_edge"),
        (pl.col("confirmed_as").fill_null("") if is_reviewed else pl.lit("")).alias("confirmed_as"),
    )
    _check_names(counted.filter(pl.col("confirmed_as") != "").filter(is_counted())["counted_as"], names)
    found = dict(counted["counted_as"].value_counts().iter_rows())
    # A cell outside the region that a person drew is confirmed, and in no line.
    sure = counted.filter(pl.col("confirmed_as") == pl.col("counted_as"))
    confirmed = dict(sure["confirmed_as"].value_counts().iter_rows())
    return CellCounts(
        classes=tuple(classes),
        counts=tuple(int(found.get(name, 0)) for name in names),
        unclassified=int(found.get(UNCLASSIFIED, 0)),
        touching_edge=counted.filter(pl.col("touches_edge") & is_counted()).height,
        left_out=int(found.get(LEFT_OUT, 0)),
        unclassified_as=_deal(cells.filter(counted["counted_as"] == UNCLASSIFIED), classes),
        confirmed=tuple(int(confirmed.get(name, 0)) for name in names) if confirmed else (),
    )


def _check_names(called: pl.Series, names: Sequence[str]) -> None:
    unknown = sorted(set(called.to_list()) - {*names, UNCLASSIFIED}, key=str)
    if unknown:
        raise DataError(
            f"cells are called {', '.join(map(str, unknown))}, which is no class of the model "
            f"({', '.join(names)}); call them again with the same model that they are counted with"
        )


def _deal(cells: pl.DataFrame, classes: Sequence[CellClass]) -> tuple[float, ...]:
    """Return the cells dealt out to the nucleated classes by their probabilities.

    Each cell counts as one, so what it is believed to be outside the nucleated classes is spread over these.
    A cell without probabilities is spread evenly.
    """
    nucleated = _mark_nucleated(classes)
    columns = [PROBABILITY + c.name for c in classes]
    table = np.zeros((cells.height, len(classes)))
    if cells.height and set(columns) <= set(cells.columns):
        table = cells.select(pl.col(columns).cast(pl.Float64).fill_null(0.0)).to_numpy() * nucleated
    table = np.where(table.sum(axis=1, keepdims=True) > 0.0, table, nucleated)
    dealt = (table / np.maximum(table.sum(axis=1, keepdims=True), _TINY)).sum(axis=0)
    return round_sums(dealt)


def spread_unclassified(fields: Sequence[CellCounts], classes: Sequence[CellClass]) -> NDArray[np.float64]:
    """Return (F, K) unclassified cells by class, spread evenly over the nucleated where nobody knows.

    Args:
        fields: counts of F fields.
        classes: the K classes of the model.
    """
    nucleated = _mark_nucleated(classes)
    even = nucleated / max(nucleated.sum(), 1.0)
    rows = [f.unclassified_as or tuple(f.unclassified * even) for f in fields]
    return np.array(rows, dtype=np.float64).reshape(len(fields), len(classes))


def round_sums(sums: NDArray[np.float64]) -> tuple[float, ...]:
    """Return sums of probabilities as they are stored."""
    return tuple(round(float(n), _DECIMALS) for n in sums)


def _mark_nucleated(classes: Sequence[CellClass]) -> NDArray[np.float64]:
    """Return (K,) 1 for a nucleated class, else 0."""
    return np.array([c.lineage is not Lineage.NOT_NUCLEATED for c in classes], dtype=np.float64)
