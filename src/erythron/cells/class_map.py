"""What the names of a set or a file stand for, as the option ``--class-map`` says it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from erythron.cells.classes import CellType, find_type
from erythron.errors import DataError, UsageError

ClassMap = Mapping[str, CellType | None]
"""The kind of cell that a name stands for, None to leave its cells out; it wins over the synonyms."""

CLASS_MAP_HELP = "What a name stands for, such as 1=proerythroblast; NAME= leaves its cells out; repeatable."


def parse_class_map(entries: Iterable[str]) -> ClassMap:
    """Return the class map that entries ``NAME=CLASS`` or ``NAME=`` (leave its cells out) give.

    The last ``=`` divides an entry, so a name may hold others. Space around either part does not count. The
    class is any name, synonym or code that :func:`erythron.cells.classes.find_type` knows.

    Raises:
        UsageError: an entry has no ``=`` or no name, its class is unknown, or a name stands twice.

    >>> {name: kind and kind.name for name, kind in parse_class_map(["Late=metarubricyte", "Dirt="]).items()}
    {'Late': 'orthochromatic_erythroblast', 'Dirt': None}
    """
    found: dict[str, CellType | None] = {}
    for entry in entries:
        name, separator, target = (part.strip() for part in entry.rpartition("="))
        if not separator or not name:
            raise UsageError(
                f"--class-map '{entry}': write NAME=CLASS, such as 1=proerythroblast, or NAME= to leave its "
                "cells out"
            )
        if name in found:
            raise UsageError(f"--class-map '{entry}': '{name}' stands twice; give it once")
        try:
            found[name] = find_type(target) if target else None
        except DataError as error:
            raise UsageError(f"--class-map '{entry}': {error}") from error
    return found


def refuse_misspelt(class_map: ClassMap, names: Collection[str], where: str) -> tuple[str, ...]:
    """Refuse a map that spells a name otherwise than the cells have it, and return the names that none has.

    A synonym in another spelling is known without the map, so these cells would keep what the synonym says.

    Args:
        class_map: it.
        names: of the cells, as their source has them.
        where: what the source is called.

    Raises:
        UsageError: a name differs from one of a cell in case, space, hyphens or the form of Unicode alone.
    """
    absent = [name for name in class_map if name not in names]
    spelt = {_fold(name): name for name in names if name not in class_map}
    for name in absent:
        if _fold(name) in spelt:
            raise UsageError(
                f"class map: no cell of {where} is called '{name}', and one is called "
                f"'{spelt[_fold(name)]}'; write it as it stands there"
            )
    return tuple(absent)


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()
