"""Splitting a manifest: stratified by label, groups and copies whole, seeded, and stored with its hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from erythron.datasets.manifest import SPLITS, hash_split, verify_split
from erythron.errors import DataError


@dataclass(frozen=True)
class SplitPlan:
    """How to split.

    Attributes:
        validation: share of the cells for validation; 0 makes none.
        test: share of the cells for the test.
        seed: orders groups of equal make-up.
    """

    validation: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test <= 0 or self.validation + self.test >= 1:
            raise DataError(
                f"validation {self.validation} and test {self.test}: the test needs a share, and "
                "training what is left of 1"
            )


@dataclass(frozen=True)
class SplitResult:
    """A split manifest and what to know of it.

    Attributes:
        rows: the manifest with ``group``, ``split`` and ``split_hash`` filled.
        hash: the split's hash.
        merged: groups that were joined to another because they share content or a piece of smear.
        notes: labels that a part lacks, one sentence each.
    """

    rows: pl.DataFrame
    hash: str
    merged: int
    notes: tuple[str, ...]


def split_rows(rows: pl.DataFrame, plan: SplitPlan, similar: pl.DataFrame | None = None) -> SplitResult:
    """Assign every row to train, validation or test.

    Args:
        rows: a manifest; an earlier split is replaced.
        plan: shares and seed.
        similar: columns ``first`` and ``second``, paths of images that show one piece of smear and must stay
            together; None where there are none.

    Raises:
        DataError: fewer groups than parts.
    """
    merged = merge_groups(rows, similar)
    shares = {"train": 1 - plan.validation - plan.test, "validation": plan.validation, "test": plan.test}
    used = [name for name in SPLITS if shares[name] > 0]
    keys = merged["group"].to_list()
    parts = assign_parts(merged["label"].to_list(), keys, [shares[name] for name in used], plan.seed)
    split = merged.with_columns(pl.Series("split", [used[p] for p in parts], dtype=pl.String))
    split = split.with_columns(pl.lit(hash_split(split)).alias("split_hash"))
    before = rows["group"].n_unique()
    return SplitResult(split, verify_split(split), before - len(set(keys)), _note_missing(split, used))


def keep_published(rows: pl.DataFrame, similar: pl.DataFrame | None = None) -> SplitResult:
    """Keep the parts that a set was published with.

    What was published as validation and is the only part beside training becomes the test: it is what
    published figures are of. A published test stays, and the validation beside it. Training images that show
    a cell of another part, as rotated copies do, or share a group with one, are left out, and so are those of
    the validation that do so with the test; the part that is judged keeps all its cells.

    Args:
        rows: a manifest whose rows have the source's own parts.
        similar: as for :func:`split_rows`.

    Raises:
        DataError: a row has no part, or training or the other parts are missing.
    """
    bare = rows.filter(pl.col("split").is_null())
    if bare.height:
        raise DataError(
            f"{bare.height} of {rows.height} images are in no published part (first: {bare['path'][0]}); the "
            "set has no split of its own, so split it by group"
        )
    if "test" not in rows["split"]:
        is_judged = pl.col("split") == "validation"
        rows = rows.with_columns(pl.when(is_judged).then(pl.lit("test")).otherwise("split").alias("split"))
    if set(rows["split"]) < {"train", "test"}:
        raise DataError("the published split needs a part for training and one for validation or test")
    merged = merge_groups(rows, similar)
    order = {name: i for i, name in enumerate(SPLITS)}
    place = pl.col("split").replace_strict(order, return_dtype=pl.Int64)
    leaks = merged.select((place < place.max().over("group")).alias("leaks"))["leaks"]
    split = merged.filter(~leaks)
    if "train" not in split["split"]:
        raise DataError("every training image shows a cell of another part; split the set by group")
    split = split.with_columns(pl.lit(hash_split(split)).alias("split_hash"))
    notes = list(_note_missing(split, [part for part in SPLITS if part in split["split"]]))
    if leaks.any():
        first = merged.filter(leaks)["path"][0]
        notes.append(
            f"{leaks.sum()} images show a cell of a part that is judged later, or share its group, and are "
            f"left out (first: {first})."
        )
    joined = rows["group"].n_unique() - merged["group"].n_unique()
    return SplitResult(split, verify_split(split), joined, tuple(notes))


def merge_groups(rows: pl.DataFrame, similar: pl.DataFrame | None) -> pl.DataFrame:
    """Return the rows with one group for all that share a group, a file's content or a piece of smear.

    A joined group has the name of its first row's. One name is one group in all sources.
    """
    count = rows.height
    row = np.arange(count)
    indexed = rows.with_row_index("row")
    links = [
        (row, indexed.select(pl.col("row").first().over(c)).to_series().to_numpy().astype(np.int64))
        for c in ("group", "sha256", "path")
    ]
    if similar is not None and similar.height:
        row_of = {path: i for i, path in enumerate(rows["path"])}
        known = [[row_of.get(p) for p in pair] for pair in similar.select("first", "second").iter_rows()]
        joined = np.array([pair for pair in known if None not in pair], np.int64).reshape(-1, 2)
        links.append((joined[:, 0], joined[:, 1]))
    start, end = (np.concatenate(parts) for parts in zip(*links, strict=True))
    graph = coo_matrix((np.ones(len(start), bool), (start, end)), (count, count))
    component = pl.Series("component", connected_components(graph, directed=False)[1])
    named = rows.with_columns(component).with_columns(pl.col("group").first().over("component"))
    return named.drop("component")


def assign_parts(
    labels: Sequence[str], groups: Sequence[str], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Return the part of every row: no group in two parts, every label spread as the shares say.

    Groups are placed one by one, those that weigh most in a label first and in seeded order among equals,
    each into the part where it brings the labels nearest to their shares.

    Args:
        labels: label of each row.
        groups: group of each row.
        shares: of each part, they sum to 1.
        seed: orders equal groups.

    Returns:
        (N,) int64, index into ``shares``.

    Raises:
        DataError: fewer groups than parts, or a part that stays empty.
    """
    group_names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    label_names, label_of = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(group_names) < len(shares):
        raise DataError(
            f"{len(group_names)} groups cannot fill {len(shares)} parts; give more data or fewer parts"
        )
    counts = np.zeros((len(group_names), len(label_names)))
    np.add.at(counts, (group_of, label_of), 1)
    weight = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(group_names))
    order = order[np.argsort(-weight[order].max(axis=1), kind="stable")]
    wanted = np.repeat(np.asarray(shares, float)[:, None], len(label_names), axis=1)
    part_of_group = np.zeros(len(group_names), np.int64)
    for group in order:
        # What placing the group in each part changes of the squared distance from the shares wanted.
        change = (weight[group] * (weight[group] - 2 * wanted)).sum(axis=1)
        part = int(change.argmin())
        wanted[part] -= weight[group]
        part_of_group[group] = part
    empty = set(range(len(shares))) - set(part_of_group.tolist())
    if empty:
        raise DataError(
            f"{len(group_names)} groups of very uneven size leave a part empty; "
            "give more data or larger shares"
        )
    return part_of_group[group_of]


def _note_missing(rows: pl.DataFrame, parts: Sequence[str]) -> tuple[str, ...]:
    notes = []
    for part in parts:
        missing = sorted(set(rows["label"]) - set(rows.filter(pl.col("split") == part)["label"]))
        if missing:
            notes.append(f"No cell of {', '.join(missing)} is in {part}: too few groups hold them.")
    return tuple(notes)


def count_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of every label in every part: columns ``label`` and the names of ``SPLITS``."""
    return (
        rows.group_by("label")
        .agg((pl.col("split") == part).sum().cast(pl.Int64).alias(part) for part in SPLITS)
        .sort("label")
    )
