"""Reference ranges from a TOML file that a laboratory can replace.

In: a file with one table an index or class. Out: a
:class:`~erythron.differential.counts.ReferenceRange` by name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from erythron.differential.counts import ReferenceRange
from erythron.errors import DataError
from erythron.files.reading import read_text

_RATIOS = {"me_ratio", "maturation_index", "proliferation_ratio"}
"""Indices that are ratios of two counts and may be over 1; every other range is of a share."""

_KEYS = tuple(limit.name for limit in fields(ReferenceRange))

SHIPPED = Path(__file__).parent / "reference.toml"


def read_references(path: Path, known: Iterable[str]) -> Mapping[str, ReferenceRange]:
    """Return the ranges of a file by the name of their index or class.

    Args:
        path: a TOML file; each table has ``low`` or ``high`` or both, ``population`` and ``source``.
        known: names that a table may have.

    Raises:
        DataError: the file cannot be read, or a table or a key in it is unknown, incomplete or upside down.
    """
    try:
        tables = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: no readable file of reference ranges ({error}); give a TOML file"
        ) from error
    names = sorted(known)
    ranges = {}
    for name, table in tables.items():
        if name not in names:
            raise DataError(
                f"{path}: '{name}' is no index and no class of the model; known names are: {', '.join(names)}"
            )
        limits = {"low": None, "high": None} | table if isinstance(table, dict) else table
        unknown = sorted(table.keys() - _KEYS) if isinstance(table, dict) else []
        if unknown:
            raise DataError(f"{path}: {name}.{unknown[0]} is unknown; a range has {', '.join(_KEYS)} alone")
        try:
            found = _adapter().validate_python(limits)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise DataError(f"{path}: {where}: {first['msg']}; see the shipped file {SHIPPED}") from error
        _check(path, name, found)
        ranges[name] = found
    return ranges


@cache
def _adapter() -> TypeAdapter[ReferenceRange]:
    return TypeAdapter(ReferenceRange)


def _check(path: Path, name: str, found: ReferenceRange) -> None:
    if found.low is None and found.high is None:
        raise DataError(f"{path}: '{name}' has neither low nor high; give one, or remove the table")
    low = 0.0 if found.low is None else found.low
    if low < 0 or (found.high is not None and not low < found.high):
        raise DataError(f"{path}: '{name}' must have 0 <= low < high")
    if name not in _RATIOS and max(found.low or 0.0, found.high or 0.0) > 1:
        raise DataError(f"{path}: '{name}' is a share: write its limits as fractions, 0.18 for 18 %")
    if not found.source.strip() or not found.population.strip():
        raise DataError(f"{path}: '{name}' must name its population and its source")
