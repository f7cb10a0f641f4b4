"""Labels as the fine classes that they leave open, finer than those that are called.

The head learns the finer cells of a marrow (a band and a promyelocyte share little but their lineage), and a
call adds up the probabilities of its class. A label that is coarser than a fine class leaves several open.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erythron.cells.classes import (
    DEFAULT_CLASSES,
    ERYTHROID_STAGES,
    PLATELET,
    CellType,
    find_class,
    find_type,
)

FINE_CLASSES: tuple[str, ...] = (
    "proerythroblast",
    "basophilic_erythroblast",
    "polychromatic_erythroblast",
    "orthochromatic_erythroblast",
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "band_neutrophil",
    "segmented_neutrophil",
    "eosinophil",
    "basophil",
    "lymphocyte",
    "monocyte",
    "plasma_cell",
    "blast",
    "macrophage",
    "platelet",
)
"""What the head tells apart, in order."""

_OPEN: dict[str, tuple[str, ...]] = {
    "erythroblast": tuple(s.name for s in ERYTHROID_STAGES),
    "immature_granulocyte": ("promyelocyte", "myelocyte", "metamyelocyte"),
    "neutrophil": ("band_neutrophil", "segmented_neutrophil"),
    "immature_eosinophil": ("eosinophil",),
    "abnormal_eosinophil": ("eosinophil",),
    "white_cell": tuple(name for name in FINE_CLASSES if name != PLATELET.name),
}
"""Types that stand for several fine classes, or for another one, where their class does not say which."""


def find_open(kind: CellType) -> tuple[str, ...]:
    """Return the fine classes that a type of cell leaves open.

    A type that is no fine class leaves all those of its class open. One that is no nucleated cell nor
    platelet (a red cell, an artefact, a cell that could not be identified) leaves none: nothing can be
    learned from it.
    """
    if kind.name in FINE_CLASSES:
        return (kind.name,)
    if kind.name in _OPEN:
        return _OPEN[kind.name]
    if kind.cell_class is None:
        return ()
    return tuple(name for name in FINE_CLASSES if find_class(name) == kind.cell_class)


def open_labels(labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which fine classes each label leaves open, (N, len(FINE_CLASSES)) bool.

    Args:
        labels: name, synonym or data-set code of a type of cell.

    Raises:
        DataError: a label is unknown.
    """
    row_of = {label: np.isin(FINE_CLASSES, find_open(find_type(label))) for label in set(labels)}
    return np.array([row_of[label] for label in labels], bool).reshape(-1, len(FINE_CLASSES))


def class_of_fine() -> NDArray[np.int64]:
    """Return the index in ``DEFAULT_CLASSES`` of every fine class, (len(FINE_CLASSES),) int64."""
    names = [c.name for c in DEFAULT_CLASSES]
    return np.array([names.index(find_class(label).name) for label in FINE_CLASSES])


def merge_logits(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits of the classes from those of the fine ones, (N, C) from (N, F): log of summed odds."""
    top = logits.max(axis=1, keepdims=True)
    merged = np.zeros((len(logits), len(DEFAULT_CLASSES)))
    np.add.at(merged.T, class_of_fine(), np.exp(logits - top).T)
    return np.asarray(np.log(np.maximum(merged, 1e-30)) + top)
