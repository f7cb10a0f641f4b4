"""Whether two versions of erythron say the same of the same images.

    python benchmarks/same_results.py BEFORE AFTER

BEFORE and AFTER are folders in which each version wrote its results under the same names: folders of
``count`` and ``extract``, tables of ``classify``, masks of ``mask``. Tables have to be equal row by row in
every column that both have, but for names of cells; flags as sets; outlines, classifications, overlays, masks
and every figure of a class in a differential have to be equal. Prints what was compared; the first difference
ends it with status 1. What else a differential says may change on purpose, such as a flag's words: each field
of it that differs is listed with how often.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = frozenset({"cell_id", "crop", "mask"})
"""Columns that name a cell, which another version may name otherwise."""


def read_rows(path: Path, folder: Path) -> list[dict[str, str]]:
    """Return the rows of a table, without the folder that its paths begin with."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v.replace(str(folder), "") for k, v in row.items()} for row in csv.DictReader(file)]


def compare_tables(path: Path, before: Path, after: Path) -> int:
    """Compare one table and return its rows."""
    one, other = read_rows(before / path, before), read_rows(after / path, after)
    if len(one) != len(other):
        sys.exit(f"{path}: {len(one)} rows before, {len(other)} after")
    for number, (a, b) in enumerate(zip(one, other, strict=True), start=1):
        for column in set(a) & set(b) - NAMES:
            x, y = a[column], b[column]
            is_same = set(re.split("[; ]", x)) == set(re.split("[; ]", y)) if column == "flags" else x == y
            if not is_same:
                sys.exit(f"{path}, row {number}, {column}: {x} before, {y} after")
    return len(one)


def compare_outlines(path: Path, before: Path, after: Path) -> None:
    """Compare outlines and classifications of a GeoJSON."""
    one, other = (json.loads((folder / path).read_bytes())["features"] for folder in (before, after))
    for a, b in zip(one, other, strict=True):
        for key in ("geometry", "nucleusGeometry"):
            if a[key] != b[key]:
                sys.exit(f"{path}: {key} of {a['id']} differs")
        if a["properties"]["classification"] != b["properties"]["classification"]:
            sys.exit(f"{path}: classification of {a['id']} differs")


def find_differences(one: Any, other: Any, name: str = "") -> set[str]:
    """Return the names of the fields, such as ``classes.count``, in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [(key, f"{name}.{key}".lstrip(".")) for key in one.keys() | other.keys()]
        return {n for key, path in names for n in find_differences(one.get(key), other.get(key), path)}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {n for a, b in zip(one, other, strict=True) for n in find_differences(a, b, name)}
    return set() if one == other else {name}


def compare_differentials(path: Path, before: Path, after: Path) -> set[str]:
    """Return the fields in which a differential differs, none of them a figure of a class."""
    different = find_differences(*(json.loads((folder / path).read_bytes()) for folder in (before, after)))
    figures = [name for name in different if name.startswith("classes") and not name.endswith("reference")]
    if figures:
        sys.exit(f"{path}: {', '.join(sorted(figures))} differ")
    return different


def main() -> None:
    """Compare two folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    before, after = options.before, options.after
    tables = [p.relative_to(before) for p in sorted(before.rglob("*.csv")) if p.name != "summary.csv"]
    rows = sum(compare_tables(path, before, after) for path in tables)
    outlines = [p.relative_to(before) for p in sorted(before.rglob("*.geojson"))]
    for path in outlines:
        compare_outlines(path, before, after)
    differentials = [p.relative_to(before) for p in sorted(before.rglob("differential.json"))]
    changed = Counter(name for path in differentials for name in compare_differentials(path, before, after))
    pictures = [p.relative_to(before) for p in sorted(before.rglob("*.png"))]
    for path in pictures:
        one, other = (np.asarray(Image.open(folder / path)) for folder in (before, after))
        if not np.array_equal(one, other):
            sys.exit(f"{path}: pixels differ")
    print(
        f"same: {rows} rows of {len(tables)} tables, {len(outlines)} outlined images, "
        f"{len(differentials)} differentials, {len(pictures)} pictures"
    )
    for name, number in sorted(changed.items()):
        print(f"differs in {number} differentials: {name}")


if __name__ == "__main__":
    main()
