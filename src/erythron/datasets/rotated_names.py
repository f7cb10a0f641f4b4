"""Rotated copies of a cell as the names of files tell them, so that they share a group."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from erythron.datasets.labelled import FoundCell

_ROTATED_NAME = re.compile(
    r"^(?P<cell>.+?)[ _-]*(?:rot(?:at(?:e|ed|ion))?|r)[ _-]*(?P<turn>-?\d{1,3})$", re.I
)
_NUMBERED_NAME = re.compile(r"^(?P<cell>.+?)[ _-](?P<turn>\d{1,3})$")
_MAX_COPIES = 36
"""A copy every ten degrees; more endings than this are numbers of cells."""


def group_rotated(folder: Path, cells: list[FoundCell]) -> list[FoundCell]:
    """Give the rotated copies of one cell, and the cell itself, one group; else the content stays the group.

    Copies are told by the ends of their names, in a folder called ``rotate…`` or by ``rot`` in the name. A
    file of the same part of the split, label and name without that end is the cell that they show. Cells of
    other parts may have the same numbers, and are compared by content where a split is made.
    """
    rotated = {c.path for c in cells if _is_in_rotated(folder, c.path)}
    numbered = [m for c in cells if c.path in rotated and (m := _NUMBERED_NAME.match(c.path.stem))]
    turns = {m["turn"] for m in numbered}
    # Endings are turns where every cell has the same few of them, else they are the numbers of the cells.
    per_cell = len(numbered) / max(1, len({m["cell"] for m in numbered}))
    is_turn = 2 <= len(turns) <= _MAX_COPIES and per_cell > 0.9 * len(turns)
    names: dict[Path, str] = {}
    for cell in cells:
        match = _ROTATED_NAME.match(cell.path.stem)
        if match is None and is_turn and cell.path in rotated:
            match = _NUMBERED_NAME.match(cell.path.stem)
        if match is not None or cell.path in rotated:
            names[cell.path] = match["cell"] if match else cell.path.stem
    shown: defaultdict[tuple[str | None, str], set[str]] = defaultdict(set)
    for cell in cells:
        if cell.path in names:
            shown[cell.split, cell.source_label].add(names[cell.path])
    grouped = []
    for cell in cells:
        name = names.get(cell.path)
        if name is None and cell.path.stem in shown[cell.split, cell.source_label]:
            name = cell.path.stem
        if name is None or cell.group:
            grouped.append(cell)
        else:
            grouped.append(replace(cell, group=f"{cell.split or 'all'}/{cell.source_label}/{name}"))
    return grouped


def _is_in_rotated(folder: Path, path: Path) -> bool:
    return any("rot" in part.casefold() for part in path.relative_to(folder).parts[:-1])
