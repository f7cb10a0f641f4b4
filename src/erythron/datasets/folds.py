"""Cross-validation folds that keep groups whole and classes even."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erythron.errors import DataError


def assign_folds(labels: Sequence[str], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of every row, no group on two sides, classes spread as evenly as groups allow.

    Groups are placed greedily, those with the most uneven classes first and in seeded order among equals,
    each into the fold where the spread of every class's share over the folds stays smallest.

    Args:
        labels: class of each row.
        groups: group of each row.
        folds: number of folds, at least 2 and at most the number of groups.
        seed: orders equal groups.

    Returns:
        (N,) int64 in 0..folds-1.

    Raises:
        DataError: too few groups, or labels and groups differ in length.
    """
    if len(labels) != len(groups):
        raise DataError(f"{len(labels)} labels and {len(groups)} groups: every row needs one of each")
    group_names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    class_names, class_of = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if not 2 <= folds <= len(group_names):
        raise DataError(f"{folds} folds of {len(group_names)} groups: choose from 2 to the number of groups")
    counts = np.zeros((len(group_names), len(class_names)))
    np.add.at(counts, (group_of, class_of), 1)
    share = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(group_names))
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    filled = np.zeros((folds, len(class_names)))
    fold_of_group = np.zeros(len(group_names), np.int64)
    for group in order:
        spread = np.empty(folds)
        for fold in range(folds):
            filled[fold] += share[group]
            spread[fold] = filled.std(axis=0).mean()
            filled[fold] -= share[group]
        best = np.flatnonzero(np.isclose(spread, spread.min()))
        # Equal spread would always favour the first fold; the emptiest keeps the folds' sizes even.
        fold = best[np.argmin(filled[best].sum(axis=1))]
        filled[fold] += share[group]
        fold_of_group[group] = fold
    return fold_of_group[group_of]
