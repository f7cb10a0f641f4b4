"""Edited tables in which a column lies against the others: sorted alone, or slid by a row.

A spreadsheet does that in two clicks, and then most cells carry the call of another one. Nothing in a row
tells it from what a person meant; the table as a whole does: each class has as many cells as before, and yet
many cells have another. Who corrects that many calls moves them towards some classes and away from others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from erythron.errors import DataError
from erythron.review.labels import Labels

_COLUMNS = ("counted_as", "label")

FEWEST, LEAST_SHARE, MOST_GAINED = 10, 0.2, 0.1
"""When a column was moved.

At least so many of its cells differ from the count, at least that share of its rows, and what classes gained
by it is at most that share of those that differ.
"""


def refuse_moved(files: Iterable[tuple[Labels, pl.DataFrame]]) -> None:
    """Refuse an edited copy of the run's table in which a column was moved against the others.

    A table that has names of cells and one column of calls alone is none: a person made it.

    Args:
        files: what each file says of each image, and the table of that image's cells as they are counted.

    Raises:
        DataError: a column was moved.
    """
    calls: dict[tuple[Path, str], list[tuple[str, str]]] = {}
    for labels, cells in files:
        counted = {row["cell_id"]: row for row in cells.select("cell_id", *_COLUMNS).iter_rows(named=True)}
        for row in labels.rows:
            if row.label is None or row.counted_as is None or row.cell_id not in counted:
                continue
            for column in _COLUMNS:
                pair = (counted[row.cell_id][column], getattr(row, column))
                calls.setdefault((labels.source, column), []).append(pair)
    for (source, column), pairs in calls.items():
        changed = [(was, now) for was, now in pairs if was != now]
        gained = Counter(now for _, now in changed) - Counter(was for was, _ in changed)
        if len(changed) < max(FEWEST, LEAST_SHARE * len(pairs)):
            continue
        if gained.total() <= MOST_GAINED * len(changed):
            raise DataError(
                f"{source}: {column} differs from the count in {len(changed)} of {len(pairs)} cells, and yet "
                "names each class as often as before, or nearly: as where it, or cell_id, was sorted alone "
                "or slid by a row. Sort whole rows; if these are a person's calls, give a table of the "
                f"columns image, cell_id and {column} alone"
            )
