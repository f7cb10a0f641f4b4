from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erythron.datasets.folds import assign_folds
from erythron.errors import DataError


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), min_size=20, max_size=80),
    st.integers(0, 5),
)
def test_no_group_is_on_two_sides(rows: list[tuple[str, int]], seed: int) -> None:
    labels, groups = [r[0] for r in rows], [str(r[1]) for r in rows]
    if len(set(groups)) < 4:
        return
    folds = assign_folds(labels, groups, 4, seed)
    for group in set(groups):
        assert len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1


def test_classes_are_even_where_groups_allow() -> None:
    labels = ["rare"] * 10 + ["common"] * 100
    folds = assign_folds(labels, [str(i) for i in range(110)], 5, 0)
    assert np.bincount(folds[:10], minlength=5).tolist() == [2] * 5
    assert np.ptp(np.bincount(folds[10:], minlength=5)) <= 1


def test_the_seed_decides() -> None:
    labels, groups = ["a"] * 50, [str(i) for i in range(50)]
    first = assign_folds(labels, groups, 5, 0)
    assert np.array_equal(first, assign_folds(labels, groups, 5, 0))
    assert not np.array_equal(first, assign_folds(labels, groups, 5, 1))


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DataError, match="3 folds of 2 groups"):
        assign_folds(["a"] * 4, ["x", "x", "y", "y"], 3, 0)
