"""The ledger of a slide: one file for each tile that is counted, beside the place of the slide's results.

A tile's file appears when it is whole. The name of the ledger's folder states what the count depends on, so a
count with other settings never takes up the parts of this one, and an interrupted one takes up all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from erythron.files.hashing import hash_text
from erythron.files.reading import read_content
from erythron.files.writing import remove, write_file
from erythron.quality.specimen import NucleatedTally

_ENDING = ".tiles"
_DIGITS = 16


@dataclass(frozen=True)
class BlockRows:
    """How much of a tile's table is of one block.

    Attributes:
        row: of the block in the grid.
        column: of the block in the grid.
        cells: rows of the table; those of a block follow one another.
    """

    row: int
    column: int
    cells: int


@dataclass(frozen=True)
class TilePart:
    """What was counted of a tile.

    Attributes:
        csv: the rows of its table of cells as ``cells.csv`` has them, without the line of names.
        features: each cell as ``cells.geojson`` has it, in the same order.
        blocks: its blocks, those without a cell among them.
        counted_cells: nucleated cells that the differential counts.
        counted_px: pixels of the slide that were counted, of a region those in it.
        blurred_px: how many of these are out of focus, about.
        thick_px: how many of these are too thick, about.
        stained_px: how many of these are as stained as red cells.
        nucleated: nucleated cells, left out or not, inside a region or not.
    """

    csv: str
    features: tuple[str, ...]
    blocks: tuple[BlockRows, ...]
    counted_cells: int
    counted_px: int
    blurred_px: float
    thick_px: float
    stained_px: int
    nucleated: NucleatedTally


class Ledger:
    """The parts of one count of one slide.

    Args:
        folder: beside which it lies, named as nothing else that is counted there.
        fingerprint: of everything that the parts depend on, hexadecimal.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._stem = f".{hash_text(folder.name)[:_DIGITS]}."
        self._final = folder
        self.folder = folder.with_name(f"{self._stem}{fingerprint[:_DIGITS]}{_ENDING}")

    def write(self, number: int, part: TilePart) -> None:
        """Keep what was counted of a tile."""
        write_file(self._name(number), _part_json().dump_json(part))

    def read(self, number: int) -> TilePart | None:
        """Return what was counted of a tile, None where that is not there, or damaged."""
        try:
            return _part_json().validate_json(read_content(self._name(number)))
        except (OSError, ValidationError):
            return None

    def list_done(self) -> frozenset[int]:
        """Return the numbers of the tiles that are counted."""
        return frozenset(int(path.stem) for path in self._list() if path.stem.isdigit())

    def count_cells(self) -> int:
        """Return how many cells are counted on the tiles that are done."""
        parts = (self.read(number) for number in self.list_done())
        return sum(part.counted_cells for part in parts if part is not None)

    def drop_others(self) -> None:
        """Remove what counts of the same slide with other settings have left."""
        if not self._final.parent.is_dir():
            return
        for path in self._final.parent.glob(f"{self._stem}*{_ENDING}"):
            if path != self.folder:
                remove(path)

    def remove(self) -> None:
        """Remove the parts, once the results are there."""
        remove(self.folder)

    def _name(self, number: int) -> Path:
        return self.folder / f"{number:07d}.json"

    def _list(self) -> Iterator[Path]:
        return self.folder.glob("[0-9]*.json") if self.folder.is_dir() else iter(())


@cache
def _part_json() -> TypeAdapter[TilePart]:
    return TypeAdapter(TilePart)
