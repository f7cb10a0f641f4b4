"""In which order the page offers the cells of a specimen: by doubt, maturity, or what they would teach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells.table import PROBABILITY
from erythron.classify.framing import derive_inputs
from erythron.review.queue import order_by_need, rate_doubt
from erythron.review_page.field import PageField

MOST_RANKED = 2000
"""Cells that are ranked by what they teach: the most doubtful that nobody has called. Of 20,000 cells each
then takes a fifth of a second, and a reader who calls so many calls those between them too."""

_LEAST_STAGED = 0.25
"""A cell that is less probably than this of any stage has no place in the order of maturation."""

_WHITE = np.full(3, 255, np.float32)
"""Colour of the empty smear, alike for all fields of a run: only how cells differ counts here."""

Floats = NDArray[np.float64]


def read_probabilities(cells: pl.DataFrame, classes: Sequence[str]) -> Floats:
    """Return the probabilities of cells, (N, C) in the order of the classes."""
    return cells.select([f"{PROBABILITY}{name}" for name in classes]).cast(pl.Float64).to_numpy()


def rank_cells(
    fields: Sequence[tuple[PageField, pl.DataFrame]],
    classes: Sequence[str],
    called: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    most: int,
) -> list[int]:
    """Return the rows of the cells that a reader should call next, the most useful first.

    Cells are alike by the traits that ``benchmarks/active_learning.py`` measures the order with:
    probabilities and the measurements that the model sees.

    Args:
        fields: of the specimen, each with the table of its cells; N rows in all.
        classes: of the model.
        called: (N,), cells that a person has called.
        counted: (N,), cells that are in a line of the differential.
        most: how many rows are wanted at most.
    """
    said = np.concatenate([read_probabilities(cells, classes) for _, cells in fields])
    measured = np.concatenate(
        [derive_inputs(cells, _WHITE, field.record.mpp or 1.0) for field, cells in fields]
    ).astype(np.float64)
    if not len(said):
        return []
    known = np.ma.masked_invalid(np.hstack([said, measured]))
    traits = known.filled(0.0) + known.mask * known.mean(axis=0).filled(0.0)  # what is missing is usual
    doubt = np.where(counted & ~called, rate_doubt(said), -1.0)
    ranked = np.zeros(len(said), np.bool_)
    ranked[np.argsort(-doubt, kind="stable")[:MOST_RANKED]] = True
    return order_by_need(said, traits, called, most, ranked & counted)


def rate_maturity(cells: pl.DataFrame, stages: Sequence[str]) -> list[float | None]:
    """Return how mature each cell is by its probabilities: the mean number of its stage, 1 the youngest.

    Args:
        cells: their table, N rows.
        stages: the erythroid stages of the model, youngest first.

    Returns:
        N values; None where the stages together are less probable than a quarter.
    """
    if not stages:
        return [None] * cells.height
    table = read_probabilities(cells, stages)
    total = table.sum(axis=1)
    mean = (table * np.arange(1, len(stages) + 1)).sum(axis=1) / np.maximum(total, 1e-9)
    return [round(float(m), 3) if t >= _LEAST_STAGED else None for m, t in zip(mean, total, strict=True)]
