"""Short names of images: the page heads a field by a name, and its path stands in ``run.json``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePath


def name_images(paths: Iterable[str]) -> Mapping[str, str]:
    """Return a name for each path: the file's name without ending; where two are alike, with their folders.

    As few folders are named as tell all of the same name apart; the ending stays where it alone does.

    >>> dict(name_images(["run/p1/f.png", "run/p2/f.png", "run/g.png"]))
    {'run/p1/f.png': 'p1/f', 'run/p2/f.png': 'p2/f', 'run/g.png': 'g'}
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        alike[_read_parts(path)[-1]].append(path)
    names: dict[str, str] = {}
    for group in alike.values():
        names |= _tell_apart(group)
    return names


def _tell_apart(paths: list[str]) -> dict[str, str]:
    """Return names of paths that end alike, none of them twice."""
    parts = {path: _read_parts(path) for path in paths}
    if len({tuple(found) for found in parts.values()}) < len(paths):  # only the endings differ
        parts = {path: PurePath(path).parts or (path,) for path in paths}
    depth = 1
    while True:
        names = {path: "/".join(found[-depth:]) for path, found in parts.items()}
        if len(set(names.values())) == len(names):
            return names
        depth += 1


def _read_parts(path: str) -> tuple[str, ...]:
    """Return the folders of a path and its file's name without ending."""
    pure = PurePath(path)
    return (*pure.parts[:-1], pure.stem) if pure.parts else (path,)
