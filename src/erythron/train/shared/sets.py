"""The sets that a recipe names: found, read, and kept apart from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from erythron.bundle.schema import DataSource, DataUsed
from erythron.cells.class_map import ClassMap, parse_class_map
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.datasets.manifest import MANIFEST_SUFFIXES, hash_rows, hash_split, verify_split
from erythron.datasets.registry import load_registry
from erythron.datasets.sets import open_set
from erythron.errors import UsageError
from erythron.train.folded_sets import name_set
from erythron.train.recipe import SetEntry


@dataclass(frozen=True)
class OpenedSet:
    """A set of a recipe.

    Attributes:
        name: of the set; no two sets of a recipe share one.
        entry: what the recipe says of it.
        rows: manifest of what is used of it.
        whole: its whole manifest, which folds are assigned on.
        left_out: ``path`` and ``reason`` of every image that is not used.
    """

    name: str
    entry: SetEntry
    rows: pl.DataFrame
    whole: pl.DataFrame
    left_out: pl.DataFrame


def open_sets(entries: Sequence[SetEntry]) -> tuple[OpenedSet, ...]:
    """Read the sets of a recipe.

    An image that two sets hold is used once, in the set that is named first: else it could lie in two folds.

    Raises:
        UsageError: there is no set, one of them cannot be found, or two have one name.
        DataError: a set cannot be read.
    """
    if not entries:
        raise UsageError("the recipe names no sets; add [[sets]] with data = ... to it, or give --data")
    opened: list[OpenedSet] = []
    seen = pl.Series("sha256", [], pl.String)
    for entry in entries:
        refuse_folder_of_sets(entry.data)
        found = open_set(entry.data, parse_class_map([f"{k}={v}" for k, v in entry.class_map.items()]))
        if found.name in [other.name for other in opened]:
            raise UsageError(
                f"{entry.data}: another set of the recipe is called '{found.name}' too; rename one"
            )
        is_known = found.rows["sha256"].is_in(seen.implode())
        reasons = found.rows.filter(is_known).select(
            "path", reason=pl.lit("the same image is in an earlier set")
        )
        rows = found.rows.filter(~is_known)
        if rows.is_empty():
            raise UsageError(
                f"{entry.data}: every image of it is in an earlier set of the recipe; leave it out"
            )
        seen = pl.concat([seen, rows["sha256"]])
        opened.append(OpenedSet(found.name, entry, rows, found.rows, pl.concat([found.left_out, reasons])))
    return tuple(opened)


def join_split(sets: Sequence[OpenedSet]) -> pl.DataFrame:
    """Return the sets as one manifest with one split, each set's own.

    Raises:
        DataError: a set is not split, its split is not the stored one, or the sets together leak.
    """
    if len(sets) == 1:
        rows = sets[0].rows
    else:
        rows = pl.concat([s.rows for s in sets], how="diagonal")
        for part in sets:
            verify_split(part.whole)
        rows = rows.with_columns(pl.lit(hash_split(rows)).alias("split_hash"))
    verify_split(rows)
    return rows


def refuse_folder_of_sets(data: str) -> None:
    """Raise UsageError where a path is no set, but the folder that registered sets lie in."""
    path = Path(data)
    if data in load_registry() or path.suffix in MANIFEST_SUFFIXES or not path.is_dir():
        return
    inside = [name for name in load_registry() if (path / name).is_dir()]
    if inside:
        raise UsageError(
            f"{data}: is a folder of sets ({', '.join(inside)}); set ERYTHRON_DATA_DIR to it and name a set"
        )


def load_rows(data: str, stages_only: bool = False, class_map: ClassMap | None = None) -> pl.DataFrame:
    """Return the manifest that a command line names.

    Args:
        data: path of a ``.parquet`` or ``.csv`` manifest, name of a public set, or path of a folder of class
            folders.
        stages_only: only cells of the four erythroid stages.
        class_map: for labels that the names of cells do not know; not for a manifest.

    Raises:
        UsageError: it is neither, or no cell is left.
        DataError: the manifest or the set cannot be read.
    """
    refuse_folder_of_sets(data)
    rows = open_set(data, class_map).rows
    if stages_only:
        rows = rows.filter(pl.col("label").is_in([s.name for s in ERYTHROID_STAGES]))
        if rows.is_empty():
            raise UsageError(f"{data}: has no cell of an erythroid stage; leave out --stages-only")
    return rows


def describe_source(name: str, entry: SetEntry | None = None) -> DataSource:
    """Return where a set comes from: as it is registered, else as the recipe says.

    Args:
        name: of the source, as the manifest has it.
        entry: of the recipe; None where the recipe does not name the set.
    """
    registered = load_registry().get(name)
    if registered is not None:
        return DataSource(name=name, licence=registered.licence, source=registered.citation)
    entry = entry or SetEntry(data=name)
    return DataSource(name=name, licence=entry.licence, source=entry.source)


def map_sources(entries: Sequence[SetEntry], rows: pl.DataFrame) -> dict[str, SetEntry]:
    """Return what a recipe says of each source of a manifest: the set of that name, or the only one."""
    by_name = {name_set(entry.data): entry for entry in entries}
    only = entries[0] if len(entries) == 1 else None
    found = {source: by_name.get(source, only) for source in rows["source"].unique()}
    return {source: entry for source, entry in found.items() if entry is not None}


def describe_data(rows: pl.DataFrame, entries: Mapping[str, SetEntry]) -> tuple[DataUsed, ...]:
    """Return what the training cells came from, one entry a source of the manifest.

    Args:
        rows: of the cells that were trained on.
        entries: what the recipe says of a source, by its name.
    """
    return tuple(
        DataUsed(
            **describe_source(str(source), entries.get(str(source))).model_dump(),
            cells=part.height,
            rows_hash=hash_rows(part),
        )
        for (source,), part in rows.group_by("source", maintain_order=True)
    )
