from __future__ import annotations

import numpy as np

from erythron.datasets.stain_check import find_odd_stains, find_two_stains


def make_background(second: int, seed: int = 0, count: int = 120) -> np.ndarray:
    background = np.random.default_rng(seed).normal((90, 2, 15), 1.5, (count, 3))
    background[:second] += (-10, 2, -9)
    return background


def test_one_stain_is_one() -> None:
    for seed in range(20):
        assert find_two_stains(make_background(0, seed), ["a"] * 120) is None


def test_two_stains_are_told_and_a_class_that_holds_both() -> None:
    labels = ["mixed"] * 60 + ["plain"] * 60
    stains = find_two_stains(make_background(20), labels)
    assert stains is not None
    assert stains.is_second.tolist() == [True] * 20 + [False] * 100
    assert 10 < stains.gap < 18
    mixed, plain = stains.classes
    assert (mixed.first, mixed.second, mixed.is_mixed, mixed.is_telling) == (40, 20, True, True)
    assert (plain.first, plain.second, plain.is_mixed, plain.is_telling) == (60, 0, False, True)


def test_a_stain_that_is_spread_evenly_tells_nothing() -> None:
    stains = find_two_stains(make_background(30), ["a", "b"] * 60)
    assert stains is not None
    assert not any(c.is_telling for c in stains.classes)


def test_a_colour_far_from_all_others_is_odd_and_an_unreadable_image_is_not() -> None:
    colours = np.random.default_rng(1).normal(50, 2, (50, 6))
    colours[3, 4] += 60
    colours[7] = np.nan
    assert np.flatnonzero(find_odd_stains(colours)).tolist() == [3]
