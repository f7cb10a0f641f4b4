"""Colour of a set: images of odd stain, two stains in one set, and classes that the stain gives away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ODD_DISTANCE = 10.0
"""Robust standard deviations from the set's median beyond which a colour is odd."""

_LEAST_DEVIATION = 1.5
"""CIELAB units; sets of one camera are so even that a smaller one would call everything odd."""

_MIN_EXPLAINED = 0.7
"""Share of the variance that two stains must explain; the best cut of one Gaussian explains 0.64."""

_MIN_GAP = 8.0
"""CIELAB units between the two stains."""

_MIN_SHARE = 0.03
_MIN_CELLS = 3
_SIGNIFICANCE = 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassStain:
    """How a class is spread over the two stains of its set.

    Attributes:
        label: the class.
        first: its images of the commoner stain.
        second: its images of the rarer stain.
        p_value: two-sided, Fisher's exact test against all other classes.
        is_mixed: both stains have three of its images or more.
        is_telling: the stain says something of the class, at 0.01 over all classes (Bonferroni).
    """

    label: str
    first: int
    second: int
    p_value: float
    is_mixed: bool
    is_telling: bool


@dataclass(frozen=True)
class TwoStains:
    """Two stains in one set, told by the colour of the background.

    Attributes:
        is_second: (N,) bool, images of the rarer stain.
        gap: CIELAB distance between the two mean backgrounds.
        explained: share of the background's main variance that two groups explain.
        classes: every class, in alphabetical order.
    """

    is_second: NDArray[np.bool_]
    gap: float
    explained: float
    classes: tuple[ClassStain, ...]


def find_odd_stains(colours: Floats) -> NDArray[np.bool_]:
    """Return which images' colours are far from the set's.

    Args:
        colours: (N, 6), CIELAB of background and foreground; NaN where unreadable.

    Returns:
        (N,) bool.
    """
    median = np.nanmedian(colours, axis=0)
    deviation = 1.4826 * np.nanmedian(np.abs(colours - median), axis=0)
    distance = np.abs(colours - median) / np.maximum(deviation, _LEAST_DEVIATION)
    return np.asarray(np.nan_to_num(distance, nan=0.0).max(axis=1) > ODD_DISTANCE)


def find_two_stains(background: Floats, labels: Sequence[str]) -> TwoStains | None:
    """Return the two stains of a set, or None where one describes it.

    The backgrounds are projected on their main direction and cut where the variance between the parts is
    largest (Otsu 1979, doi 10.1109/TSMC.1979.4310076).

    Args:
        background: (N, 3) CIELAB, no NaN.
        labels: N labels.
    """
    if len(background) < 4 * _MIN_CELLS:
        return None
    centred = background - background.mean(axis=0)
    position = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    ordered = np.sort(position)
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)[:-1]
    step = sums / below - (ordered.sum() - sums) / (len(ordered) - below)
    between = below * (len(ordered) - below) / len(ordered) ** 2 * step**2
    cut = int(between.argmax())
    explained = float(between[cut] / max(position.var(), 1e-12))
    is_second = position > (ordered[cut] + ordered[cut + 1]) / 2
    if is_second.sum() > len(position) / 2:
        is_second = ~is_second
    gap = float(
        np.linalg.norm(background[is_second].mean(axis=0) - background[~is_second].mean(axis=0))
        if is_second.any()
        else 0.0
    )
    few = max(_MIN_CELLS, _MIN_SHARE * len(position))
    if explained < _MIN_EXPLAINED or gap < _MIN_GAP or is_second.sum() < few:
        return None
    return TwoStains(is_second, gap, explained, _spread_classes(is_second, np.asarray(labels)))


def _spread_classes(is_second: NDArray[np.bool_], labels: NDArray[np.str_]) -> tuple[ClassStain, ...]:
    from scipy.stats import fisher_exact

    names = np.unique(labels)
    found = []
    for name in names:
        own = labels == name
        second, all_second = int(is_second[own].sum()), int(is_second.sum())
        first = int(own.sum()) - second
        others = [len(labels) - all_second - first, all_second - second]
        p_value = float(fisher_exact([[first, second], others]).pvalue)
        mixed = min(first, second) >= _MIN_CELLS
        found.append(
            ClassStain(str(name), first, second, p_value, mixed, p_value < _SIGNIFICANCE / len(names))
        )
    return tuple(found)
