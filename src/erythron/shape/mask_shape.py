"""What a mask can show, apart from what draws it, so that the command line states it without loading that."""

from __future__ import annotations

from enum import StrEnum


class MaskShape(StrEnum):
    """What a mask shows: nucleus and cell at two grey levels, the whole cell, or its convex hull."""

    NUCLEUS_CELL = "nucleus_cell"
    CELL = "cell"
    HULL = "hull"
