"""Flags of a cell: what a reader of its row must know, and the only place that joins and splits them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import polars as pl


class CellFlag(StrEnum):
    """One flag; a cell may have several.

    Attributes:
        UNCLASSIFIED: its most probable class is less probable than the model's stated confidence.
        TOUCHES_EDGE: the border of the image cuts it, so its size is a least one.
        LEFT_OUT: it lies in an area that is out of focus or too thick, and is in no count.
        OUTSIDE_REGION: it lies outside the region that a person drew to count in, or inside one to leave out,
            and is in no count whatever it is called.
        NOT_ONE_CELL: the picture, given as one of a single cell, shows many: it is a field.
    """

    UNCLASSIFIED = "unclassified"
    TOUCHES_EDGE = "touches_edge"
    LEFT_OUT = "left_out"
    OUTSIDE_REGION = "outside_region"
    NOT_ONE_CELL = "not_one_cell"


_SEPARATORS = r"[\s,;]+"
"""Flags are written with a space between them; tables that a person edited may have a comma or semicolon."""


def join_flags(flags: Iterable[str]) -> str:
    """Return flags as the column ``flags`` has them, each once, in the order of :class:`CellFlag`.

    Names that are no :class:`CellFlag`, of another version, follow in alphabetical order.

    >>> join_flags([CellFlag.TOUCHES_EDGE, CellFlag.UNCLASSIFIED])
    'unclassified touches_edge'
    """
    wanted = set(flags)
    known = [flag.value for flag in CellFlag if flag in wanted]
    return " ".join([*known, *sorted(wanted.difference(known))])


def split_flags(text: str | None) -> frozenset[str]:
    """Return the names in a cell of the column ``flags``; unknown ones, of another version, are kept.

    >>> sorted(split_flags("unclassified touches_edge"))
    ['touches_edge', 'unclassified']
    """
    return frozenset(filter(None, re.split(_SEPARATORS, text or "")))


def has_flag(flag: CellFlag, column: str = "flags") -> pl.Expr:
    """Return the expression, bool, whether a row of a table of cells has a flag; a null has none."""
    names = pl.col(column).cast(pl.String).fill_null("").str.replace_all(_SEPARATORS, " ").str.split(" ")
    return names.list.contains(flag.value)


def make_flag_column(flags: Mapping[CellFlag, Sequence[bool]]) -> pl.Series:
    """Return the column ``flags`` of N cells.

    Args:
        flags: for each flag N values, whether a cell has it.
    """
    rows = zip(*flags.values(), strict=True)
    texts = [join_flags(flag for flag, on in zip(flags, row, strict=True) if on) for row in rows]
    return pl.Series("flags", texts, pl.String())


def add_flag(cells: pl.DataFrame, flag: CellFlag, rows: Sequence[bool]) -> pl.DataFrame:
    """Return a table of cells with one more flag at some rows; those of another version stay.

    Args:
        cells: the table, N rows.
        flag: what to add.
        rows: N values, whether a row gets it.
    """
    texts = [
        join_flags(split_flags(text) | ({flag.value} if on else set()))
        for text, on in zip(cells["flags"].to_list(), rows, strict=True)
    ]
    return cells.with_columns(pl.Series("flags", texts, pl.String()))


def drop_flag(cells: pl.DataFrame, flag: CellFlag) -> pl.DataFrame:
    """Return a table of cells in which no row has a flag; those of another version stay.

    Args:
        cells: the table.
        flag: what to take away.
    """
    texts = [join_flags(split_flags(text) - {flag.value}) for text in cells["flags"].to_list()]
    return cells.with_columns(pl.Series("flags", texts, pl.String()))
