"""Labelled sets with the folds of every cross-validation: the classifier's and the segmentation network's.

A cell's cross-validation group is that of its manifest, joined with every group that shows the same piece of
smear. Folds keep groups whole and intervals resample them, so a set that is read here gives both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.datasets.audit import find_similar_rows
from erythron.datasets.fetch import name_archive
from erythron.datasets.folds import assign_folds
from erythron.datasets.manifest import MANIFEST_SUFFIXES
from erythron.datasets.registry import load_registry, locate_set
from erythron.datasets.sets import IMPORTED_MANIFEST, open_set, read_set
from erythron.datasets.split import merge_groups
from erythron.errors import UsageError

MARROW_SET = "pathology-bites-cells"
BLOOD_SET = "pbc-acevedo"


@dataclass(frozen=True)
class FoldedSet:
    """A labelled set with its folds.

    Attributes:
        name: of the set.
        folder: where it lies; the images of a manifest may lie elsewhere.
        rows: its manifest, N rows; ``group`` is the cross-validation group.
        fold: (N,) int64 in 0..folds-1; rows of one group have one fold.
        left_out: ``path`` and ``reason`` of every image that has no row.
    """

    name: str
    folder: Path
    rows: pl.DataFrame
    fold: NDArray[np.int64]
    left_out: pl.DataFrame


def read_folded(source: str, folds: int, seed: int, root: Path | None = None) -> FoldedSet:
    """Read a set, join the groups that show one piece of smear, and assign its folds.

    Args:
        source: a registered name, or path of a manifest or a folder.
        folds: number of folds.
        seed: orders groups of equal make-up.
        root: folder that holds the registered sets; None looks where ``erythron data fetch`` puts them.

    Raises:
        UsageError: the source is neither, or has not been fetched.
        DataError: the set is not laid out as expected, or has fewer groups than folds.
    """
    if root is not None and source in load_registry():
        folder, found = root / source, read_set(source, root / source)
    else:
        path = Path(source)
        is_manifest = path.suffix in MANIFEST_SUFFIXES
        found = open_set(source)
        folder = path.parent if is_manifest else locate_set(source) or path
    rows, fold = fold_rows(found.rows, folds, seed)
    return FoldedSet(name_set(source), folder.absolute(), rows, fold, found.left_out)


def read_folded_sets(
    sources: Sequence[str], folds: int, seed: int, root: Path | None = None
) -> tuple[FoldedSet, ...]:
    """Read several sets; an image that two of them hold is used in the first, else it could lie in two folds.

    Args:
        sources: see :func:`read_folded`, as for the others.
        folds: number of folds.
        seed: orders groups of equal make-up.
        root: folder that holds the registered sets.

    Raises:
        UsageError: a source is none, or every image of it is in an earlier one.
        DataError: a set is not laid out as expected, or has fewer groups than folds.
    """
    seen = pl.Series("sha256", [], pl.String)
    sets = []
    for source in sources:
        folded = read_folded(source, folds, seed, root)
        is_new = ~folded.rows["sha256"].is_in(seen.implode())
        if not is_new.any():
            raise UsageError(f"{source}: every image of it is in an earlier set; leave it out")
        rows = folded.rows.filter(is_new)
        seen = pl.concat([seen, rows["sha256"]])
        sets.append(replace(folded, rows=rows, fold=folded.fold[is_new.to_numpy()]))
    return tuple(sets)


def fold_rows(rows: pl.DataFrame, folds: int, seed: int) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return a manifest with its cross-validation groups, and the fold of every row.

    What a set states of its groups is not the whole of it, so overlaps and copies are also found from the
    pixels, as ``erythron data split`` finds them. Folds depend on all rows: two parts of a training that
    share a set agree in its folds only if both fold the whole manifest and then choose among its rows.

    Args:
        rows: a manifest, N rows.
        folds: number of folds.
        seed: orders groups of equal make-up.

    Returns:
        The rows with ``group`` joined, and (N,) int64 in 0..folds-1.

    Raises:
        DataError: fewer groups than folds.
    """
    files = rows.select("path", "sha256").unique(maintain_order=True)
    joined = merge_groups(rows, _find_similar(tuple(files.iter_rows())))
    fold = assign_folds(joined["source_label"].to_list(), joined["group"].to_list(), folds, seed)
    return joined, fold


def name_set(source: str) -> str:
    """Return the name of a set: a registered name as it is, else that of the manifest, folder or archive."""
    path = Path(source)
    if path.suffix.lower() == ".zip":
        return name_archive(path)
    if source in load_registry() or path.suffix not in MANIFEST_SUFFIXES:
        return path.name
    # ``erythron import`` calls every manifest alike, in a folder that the user has named.
    return path.absolute().parent.name if path.name == IMPORTED_MANIFEST else path.stem


# A training reads a set for the classifier, the network and its evaluation, and its pixels are the same.
@lru_cache(maxsize=16)
def _find_similar(files: tuple[tuple[str, str], ...]) -> pl.DataFrame:
    """Return pairs of images that show one piece of smear.

    Args:
        files: path and SHA-256 of every image; the hash makes changed content a new question.
    """
    return find_similar_rows(pl.DataFrame(files, schema=["path", "sha256"], orient="row"))
