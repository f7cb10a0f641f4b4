"""Labels of the public sets as the classes that they leave open, finer than those that are called.

The head learns the finer cells of a marrow (a band and a promyelocyte share little but their lineage), and a
call adds up the probabilities of its class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, find_class
from erythron.errors import DataError

FINE_LABELS: tuple[str, ...] = (
    "proerythroblast",
    "basophilic",
    "polychromatic",
    "orthochromatic",
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "band",
    "segmented",
    "eosinophil",
    "basophil",
    "lymphocyte",
    "monocyte",
    "plasma",
    "blast",
    "macrophage",
    "platelet",
)
"""What the head tells apart, in order; names as in ``pathology-bites-cells``, and platelets."""

_STAGES = FINE_LABELS[: len(ERYTHROID_STAGES)]

_OPEN: dict[str, tuple[str, ...]] = {
    "erythroblast": _STAGES,
    "ig": ("promyelocyte", "myelocyte", "metamyelocyte"),
    "neutrophil": ("band", "segmented"),
}
"""Labels of ``pbc-acevedo`` that stand for several of the fine ones."""


def open_labels(source_labels: list[str]) -> NDArray[np.bool_]:
    """Return which fine labels each source label leaves open, (N, len(FINE_LABELS)) bool.

    Raises:
        DataError: a label is unknown.
    """
    column = {name: i for i, name in enumerate(FINE_LABELS)}
    open_ = np.zeros((len(source_labels), len(FINE_LABELS)), bool)
    for row, label in enumerate(source_labels):
        for name in _OPEN.get(label, (label,)):
            if name not in column:
                raise DataError(
                    f"'{label}' is no label that the default model learns ({', '.join(FINE_LABELS)}); "
                    "rename or leave out its images"
                )
            open_[row, column[name]] = True
    return open_


def class_of_fine() -> NDArray[np.int64]:
    """Return the index in ``DEFAULT_CLASSES`` of every fine label, (len(FINE_LABELS),) int64."""
    names = [c.name for c in DEFAULT_CLASSES]
    return np.array([names.index(find_class(label).name) for label in FINE_LABELS])


def merge_logits(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits of the classes from those of the fine labels, (N, C) from (N, F): log of summed odds."""
    top = logits.max(axis=1, keepdims=True)
    merged = np.zeros((len(logits), len(DEFAULT_CLASSES)))
    np.add.at(merged.T, class_of_fine(), np.exp(logits - top).T)
    return np.asarray(np.log(np.maximum(merged, 1e-30)) + top)
