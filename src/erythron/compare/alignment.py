"""Which image or specimen of one result is which of another, where both name them by path.

In: the paths that two results have. Out: pairs. Nothing is guessed: where a path may be either of two, that
is an error.
"""

from __future__ import annotations

from collections.abc import Iterable

from erythron.errors import DataError
from erythron.files.naming import fold_name


def align_paths(a: Iterable[str], b: Iterable[str]) -> dict[str, str]:
    """Return for every path of B that A has too, the path that it has there.

    Where any path is the same in both, paths are taken as they stand. Else the two results were made in
    different folders, and a path of A and one of B are one where they share more of their ends than either
    shares with any other: ``old/p1/f.png`` is ``new/p1/f.png``, whatever else is called ``f.png``.

    Args:
        a: paths of A, as Unix or Windows writes them.
        b: those of B.

    Raises:
        DataError: a path may be either of two.

    >>> align_paths(["in/p1/f.png", "in/p2/f.png"], ["scans/p2/f.png"])
    {'scans/p2/f.png': 'in/p2/f.png'}
    """
    ours, theirs = ({path: _split(path) for path in paths} for paths in (a, b))
    if common := set(ours) & set(theirs):
        return {path: path for path in theirs if path in common}
    found: dict[str, str] = {}
    deepest = max((len(parts) for parts in (*ours.values(), *theirs.values())), default=0)
    for depth in range(deepest, 0, -1):
        tails_a, tails_b = _group_tails(ours, depth), _group_tails(theirs, depth)
        for tail in tails_b:
            here, there = tails_a.get(tail, []), tails_b[tail]
            if len(here) == len(there) == 1:
                found[there[0]] = here[0]
            # Those of a longer tail in common are told apart by it from the others of this one.
            elif here and not any(path in found for path in there):
                many, one = (here, there[0]) if len(here) > 1 else (there, here[0])
                raise DataError(
                    f"{one} may be {many[0]} or {many[1]}, which end alike; give both results the same paths"
                )
    return found


def _split(path: str) -> tuple[str, ...]:
    return tuple(fold_name(part) for part in path.replace("\\", "/").split("/") if part not in {"", "."})


def _group_tails(paths: dict[str, tuple[str, ...]], depth: int) -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, parts in paths.items():
        if len(parts) >= depth:
            groups.setdefault(parts[-depth:], []).append(path)
    return groups
