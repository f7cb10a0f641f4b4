"""Public labelled sets to manifests: one row a cell, with the group that a split must keep together."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from erythron.errors import DataError
from erythron.stages import find_class

MANIFEST_SCHEMA: dict[str, pl.DataType] = {
    "path": pl.String(),
    "source": pl.String(),
    "source_label": pl.String(),
    "class": pl.String(),
    "staged": pl.Boolean(),
    "group": pl.String(),
    "mpp": pl.Float64(),
    "sha256": pl.String(),
}
"""Columns of every manifest.

``class`` is the canonical name; where ``staged`` is false the cell is erythroid of unknown stage and
``class`` is null. ``mpp`` is null where the source does not state a scale.
"""

UNSTAGED_ERYTHROID = "erythroblast"
"""The source label that says erythroid and no stage."""


@dataclass(frozen=True)
class LabelledSet:
    """A set as read.

    Attributes:
        name: folder name of the set.
        rows: its manifest, sorted by path, columns and types of ``MANIFEST_SCHEMA``.
        left_out: ``path`` and ``reason`` of every image that has no row.
    """

    name: str
    rows: pl.DataFrame
    left_out: pl.DataFrame


def read_pathology_bites(folder: Path) -> LabelledSet:
    """Read ``pathology-bites-cells``: marrow crops, the class before the last underscore of the name.

    Crops that ``overlap_groups.json`` lists together show one piece of smear and share a group.

    Raises:
        DataError: the folder, its images or its list of overlaps are missing or not laid out as expected.
    """
    paths = _list_images(folder, "*.png")
    listing = folder / "overlap_groups.json"
    try:
        overlaps: list[list[str]] = json.loads(listing.read_text())
        group_of = {name: f"overlap_{i:02d}" for i, names in enumerate(overlaps) for name in names}
    except (OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{listing}: the list of overlapping crops cannot be read ({error}); without it a split "
            "would leak, so fetch the set again"
        ) from error
    rows = [(p, p.stem.rsplit("_", 1)[0], group_of.get(p.name, p.stem)) for p in paths]
    return _make_set(folder, rows)


def read_pbc_acevedo(folder: Path) -> LabelledSet:
    """Read ``pbc-acevedo``: peripheral-blood crops, the class being the name of the folder.

    Source: Acevedo et al., Data in Brief 2020, doi 10.1016/j.dib.2020.105474. Files of equal content share
    a group; where they are filed under different classes all of them are left out.

    Raises:
        DataError: the folder has no images or holds a class folder of unknown name.
    """
    return _make_set(folder, [(p, p.parent.name, "") for p in _list_images(folder, "*.jpg")])


def read_matek_samples(folder: Path) -> LabelledSet:
    """Read crops of the Munich bone-marrow set, the class code before the first underscore.

    Source: Matek et al., Blood 2021, doi 10.1182/blood.2020010568. Used as an outside check, never for
    training.

    Raises:
        DataError: the folder has no images or a file name has an unknown code.
    """
    return _make_set(folder, [(p, p.stem.split("_", 1)[0], "") for p in _list_images(folder, "*.jpg")])


def hash_rows(rows: pl.DataFrame) -> str:
    """Return the SHA-256 over content, class and group of every row, independent of folder and row order."""
    keys = rows.select(
        pl.concat_str(
            "source", "sha256", pl.col("class").fill_null(UNSTAGED_ERYTHROID), "group", separator="\t"
        )
    )
    return hashlib.sha256("\n".join(sorted(keys.to_series())).encode()).hexdigest()


def _list_images(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.rglob(pattern))
    if not paths:
        raise DataError(f"{folder}: no {pattern} file in this folder; check the path or fetch the set again")
    return paths


def _make_set(folder: Path, found: Iterable[tuple[Path, str, str]]) -> LabelledSet:
    """Build the table from (path, source label, group); an empty group means the file's content."""
    rows: list[tuple[str | bool | None, ...]] = []
    labels_of: defaultdict[str, set[str]] = defaultdict(set)
    for path, label, group in found:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        staged = label not in (UNSTAGED_ERYTHROID, "EBO")
        try:
            name = find_class(label).name if staged else None
        except DataError as error:
            raise DataError(
                f"{path}: {error}; rename the folder or file, or leave it out of the set"
            ) from error
        labels_of[digest].add(label)
        rows.append((str(path), folder.name, label, name, staged, group or digest[:16], None, digest))
    table = pl.DataFrame(rows, schema=MANIFEST_SCHEMA, orient="row").sort("path")
    contradicting = [digest for digest, labels in labels_of.items() if len(labels) > 1]
    is_bad = pl.col("sha256").is_in(contradicting)
    left_out = table.filter(is_bad).select(
        "path", pl.lit("the same image is filed under different classes").alias("reason")
    )
    return LabelledSet(folder.name, table.filter(~is_bad), left_out)
