"""Edited tables that are of another count, or in which a column lies against the others.

A spreadsheet sorts a column alone, or slides it by a row, in two clicks, and then most cells carry the call
of another one. Nothing in a row tells it from what a person meant; the table as a whole does: each class has
as many cells as before, and yet many cells have another. Who corrects that many calls moves them towards some
classes and away from others. In a table of an earlier count, by another model or at another scale, each call
that only the model changed since would be taken for the person's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
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


CONFIDENCE_OFF = 0.005
"""By how much two confidences of one cell differ that are not of one count.

Rounding in a spreadsheet and another processor move them by less; another model, or a scale that differs by a
hundredth, moves those of most cells by more.
"""


def refuse_other_count(files: Iterable[tuple[Labels, pl.DataFrame]]) -> None:
    """Refuse an edited copy of a table whose confidences are not those of the count for most of its cells.

    Cells without a confidence that can be read, or with 1, which a person may write, are passed over, and so
    are tables that have no column beside that of the calls, as in :func:`refuse_moved`.

    Args:
        files: what each file says of each image, and the table of that image's cells as they are counted.

    Raises:
        DataError: it is of another count, or ``cell_id`` was sorted alone.
    """
    for labels, cells in files:
        counted = dict(cells.select("cell_id", "confidence").drop_nulls().iter_rows())
        known = [
            row for row in labels.rows if row.cell_id in counted and None not in (row.label, row.counted_as)
        ]
        judged = [
            _is_other(stated, counted[row.cell_id])
            for row in known
            if (stated := _read_share(row.confidence))
        ]
        if 2 * sum(judged) > len(judged):
            raise DataError(
                f"{labels.source}: the confidence of {sum(judged)} of {len(judged)} cells is not that of the "
                "count: the table is of another count of the image, or a column was sorted alone, so that "
                "its calls are of another model or of other cells; edit the table of this count, or, if "
                "these are a person's calls, give a table of the columns image, cell_id and counted_as alone"
            )


def _read_share(text: str | None) -> Decimal | None:
    """Return a number of 0 to 1, neither included; None for what is none, such as one without its comma."""
    try:
        number = Decimal((text or "").replace(",", "."))
    except InvalidOperation:
        return None
    return number if 0 < number < 1 else None


def _is_other(stated: Decimal, counted: float) -> bool:
    """Return whether a number is not a rounded one of the count's."""
    rounded_by = 0.5 * 10.0 ** int(stated.as_tuple().exponent)
    return abs(float(stated) - counted) > max(CONFIDENCE_OFF, rounded_by)


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
