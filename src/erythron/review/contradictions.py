"""Files of labels that say different things of one cell: a person must say which holds, not their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from erythron.errors import DataError
from erythron.interchange.outlines import fill_parts
from erythron.review.match import Proposal, is_same_cell

_NEXT = "keep one of them, or take each file in a recount of its own with its --reader"


def refuse_contradictions(files: Sequence[tuple[Path, Proposal]], *, confirms_all: bool) -> None:
    """Refuse files that call one cell of an image differently, or outline one missed cell twice.

    Args:
        files: each file of labels, and what it says of the image.
        confirms_all: whether a label that agrees with the count is a call too.

    Raises:
        DataError: two files contradict one another.
    """
    drawn = [[(cell, fill_parts(cell.cell)) for cell in proposal.added] for _, proposal in files]
    for ((one, first), new), ((other, second), others) in combinations(zip(files, drawn, strict=True), 2):
        here, there = first.list_calls(confirms_all), second.list_calls(confirms_all)
        _refuse_other_calls((one, here), (other, there))
        for cell, whole in new:
            if whole and any(mask and is_same_cell(whole, mask) for _, mask in others):
                x, y = cell.centre
                raise DataError(
                    f"{one} and {other} both outline the cell at ({x}, {y}), which the count missed: it "
                    "would count twice; keep it in one of them"
                )


def _refuse_other_calls(one: tuple[Path, Mapping[str, str]], other: tuple[Path, Mapping[str, str]]) -> None:
    (path, here), (other_path, there) = one, other
    differ = [name for name in here if there.get(name, here[name]) != here[name]]
    if differ:
        name, more = differ[0], f" and {len(differ) - 1} more" if len(differ) > 1 else ""
        raise DataError(
            f"{path} and {other_path} contradict one another: cell {name} is {here[name]} in the one and "
            f"{there[name]} in the other{more}; {_NEXT}"
        )
