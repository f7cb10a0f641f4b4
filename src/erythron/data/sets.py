"""Reading a registered set, or a folder of class folders, to a manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from erythron.data import readers
from erythron.data.labelled import ClassMap, FoundCell, LabelledSet, leave_out_contradictions, make_set
from erythron.errors import DataError

READERS: dict[str, Callable[[Path], list[FoundCell]]] = {
    "pathology-bites-cells": readers.read_pathology_bites,
    "pbc-acevedo": readers.read_pbc_acevedo,
    "matek": readers.read_matek,
    "matek-samples": readers.read_matek,
    "segmentation_WBC": readers.read_segmentation_wbc,
    "bcisc": readers.read_bcisc,
    "bccd": readers.read_bccd,
}
"""The reader of every registered set that needs no map of classes."""


def read_set(
    name: str, folder: Path, *, class_map: ClassMap | None = None, keep_contradictions: bool = False
) -> LabelledSet:
    """Read a set to its manifest.

    Args:
        name: name of the set.
        folder: where it lies, as its source lays it out.
        class_map: for labels that the synonyms do not know.
        keep_contradictions: keep images that are filed under different labels, as the audit needs; else they
            are left out and named.

    Raises:
        DataError: no such set; or it is not laid out as expected.
    """
    if name not in READERS:
        raise DataError(f"'{name}' is no known set; known are {', '.join(sorted(READERS))}")
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; run erythron data fetch {name}")
    labelled = make_set(name, READERS[name](folder), class_map)
    return labelled if keep_contradictions else leave_out_contradictions(labelled)
