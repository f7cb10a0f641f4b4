"""Reading a registered set, or a folder of class folders, to a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from erythron.cells.class_map import ClassMap, refuse_misspelt
from erythron.datasets import readers
from erythron.datasets.bloodmnist import read_bloodmnist
from erythron.datasets.class_folders import describe_bmec, name_labels, read_class_folders
from erythron.datasets.fetch import name_archive, unpack_archive
from erythron.datasets.labelled import FoundCell, LabelledSet, leave_out_contradictions, make_set
from erythron.datasets.manifest import MANIFEST_SUFFIXES, read_manifest
from erythron.datasets.registry import find_registered, load_registry, locate_set
from erythron.errors import DataError, UsageError

READERS: dict[str, Callable[[Path], list[FoundCell]]] = {
    "pathology-bites-cells": readers.read_pathology_bites,
    "pbc-acevedo": readers.read_pbc_acevedo,
    "matek": readers.read_matek,
    "matek-samples": readers.read_matek,
    "matek-marrow": readers.read_matek,
    "segmentation_WBC": readers.read_segmentation_wbc,
    "bcisc": readers.read_bcisc,
    "bccd": readers.read_bccd,
    "bloodmnist": read_bloodmnist,
}
"""The reader of every registered set of fixed layout; every other folder is read as class folders."""

BMEC = "bmec"

IMPORTED_MANIFEST = "manifest.csv"
"""Name of the manifest in a folder that ``erythron import`` has written."""


def read_set(
    name: str, folder: Path, *, class_map: ClassMap | None = None, keep_contradictions: bool = False
) -> LabelledSet:
    """Read a set to its manifest.

    Args:
        name: a registered name; any other is a set of class folders.
        folder: where it lies, as its source lays it out.
        class_map: for labels that the synonyms do not know.
        keep_contradictions: keep images that are filed under different labels, as the audit needs; else they
            are left out and named.

    Raises:
        UsageError: the class map spells a name otherwise than the set.
        DataError: no such folder; or it is not laid out as expected.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder; check the path, or run erythron data fetch {name}"
        )
    reader = READERS.get(name)
    found = read_class_folders(folder, class_map or {}) if reader is None else reader(folder)
    absent = refuse_misspelt(class_map or {}, {cell.source_label for cell in found}, name)
    if reader is not None:
        labelled = make_set(name, found, class_map)
    else:
        labelled = make_set(name, found, name_labels(found, class_map or {}))
        if name == BMEC:
            labels = labelled.rows["label"].to_list()
            labelled = replace(labelled, notes=describe_bmec(labels, labelled.rows["group"].n_unique()))
    said = tuple(f"No cell is called '{name}', which the class map names." for name in absent)
    labelled = replace(labelled, notes=(*labelled.notes, *said))
    return labelled if keep_contradictions else leave_out_contradictions(labelled)


def open_set(
    source: str, class_map: ClassMap | None = None, *, keep_contradictions: bool = False
) -> LabelledSet:
    """Open what a command line names: a manifest file, a registered set that is here, or a folder.

    Args:
        source: path of a ``.parquet`` or ``.csv`` manifest, a registered name, or path of a folder of class
            folders, of a ``.zip`` archive of one, or of a folder that ``erythron import`` has written.
        class_map: see :func:`read_set`.
        keep_contradictions: see :func:`read_set`.

    Raises:
        UsageError: it is none of these, or the set has not been fetched; or a class map is given for a
            manifest, whose labels are resolved.
        DataError: the manifest or the set cannot be read.
    """
    path = Path(source)
    if path.suffix.lower() == ".zip" and path.is_file():
        return read_set(
            name_archive(path),
            unpack_archive(path),
            class_map=class_map,
            keep_contradictions=keep_contradictions,
        )
    if path.suffix in MANIFEST_SUFFIXES:
        if class_map:
            raise UsageError(f"{source}: a manifest names its classes; give --class-map when it is made")
        nothing = pl.DataFrame(schema={"path": pl.String, "reason": pl.String})
        return LabelledSet(path.stem, read_manifest(path), nothing)
    if source in load_registry():
        if (whole := find_registered(source).part_of) is not None:
            raise UsageError(f"{source} is a part of {whole}; name that")
        folder = locate_set(source)
        if folder is None:
            raise UsageError(
                f"{source} is not here; run erythron data fetch {source}, or set ERYTHRON_DATA_DIR"
            )
        return read_set(source, folder, class_map=class_map, keep_contradictions=keep_contradictions)
    if not path.is_dir():
        raise UsageError(
            f"'{source}' is no manifest (.parquet, .csv), archive (.zip), folder or registered set "
            f"({', '.join(load_registry())})"
        )
    name = path.resolve().name
    if (path / IMPORTED_MANIFEST).is_file():
        return replace(open_set(str(path / IMPORTED_MANIFEST)), name=name)
    return read_set(name, path, class_map=class_map, keep_contradictions=keep_contradictions)
