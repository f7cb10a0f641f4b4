"""Labels that come back: which format a file is of, and which class a name in it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from erythron.cells.class_map import ClassMap
from erythron.cells.classes import CellType, find_type
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED
from erythron.errors import DataError
from erythron.files.naming import fold_name
from erythron.files.reading import read_content
from erythron.interchange.cells import MALFORMED, LabelledImage
from erythron.interchange.coco import read_coco
from erythron.interchange.geojson import read_geojson
from erythron.interchange.label_studio import name_address, read_label_studio


def read_labels(path: Path) -> tuple[LabelledImage, ...]:
    """Read the labelled cells of a QuPath GeoJSON, COCO or Label Studio file, told apart by content.

    Raises:
        DataError: the file cannot be read or is none of these.
    """
    try:
        document = json.loads(read_content(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:  # also text that is no UTF-8
        raise DataError(f"{path}: is no JSON ({error}); export the labels again") from error
    try:
        if isinstance(document, dict) and "annotations" in document:
            return read_coco(document)
        if isinstance(document, list) and any(isinstance(d, dict) and "data" in d for d in document):
            return read_label_studio(document)
        if _is_geojson(document):
            return read_geojson(document, path.stem)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (*MALFORMED, RecursionError) as error:
        raise DataError(
            f"{path}: is not laid out as its format ({error!r}); export the labels again"
        ) from error
    raise DataError(
        f"{path}: is no QuPath GeoJSON, COCO or Label Studio file; export the labels in one of these formats"
    )


def _is_geojson(document: Any) -> bool:
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and first.get("type") in ("FeatureCollection", "Feature")


def map_labels(labels: Iterable[str], class_map: ClassMap) -> dict[str, CellType | None]:
    """Return the kind of cell of every label; None where its cells are to be left out.

    Args:
        labels: names as files have them.
        class_map: what names stand for, before the synonyms are asked. ``unclassified`` and
            ``not_a_cell`` are left out unless they stand here.

    Raises:
        DataError: names are unknown; the message lists them all.
    """
    known: dict[str, CellType | None] = {}
    unknown = []
    for label in dict.fromkeys(labels):
        if label in class_map:
            known[label] = class_map[label]
        elif label in (UNCLASSIFIED, NOT_A_CELL):
            known[label] = None
        else:
            try:
                known[label] = find_type(label)
            except DataError:
                unknown.append(label)
    if unknown:
        raise DataError(
            f"unknown class {', '.join(repr(label) for label in unknown)}; say what it stands for with "
            f"--class-map '{unknown[0]}=CLASS', or leave its cells out with --class-map '{unknown[0]}='"
        )
    return known


def find_image(name: str, paths: Iterable[Path]) -> Path:
    """Return the file that a name in a labelled file stands for.

    The file whose path ends in the most parts of the name is meant; a name without a suffix, as QuPath's
    exports have, may also be a file's name less its suffix. Where none fits, the name is taken for an address
    of Label Studio, with the mark that an upload there puts before a name.

    Raises:
        DataError: no file or several files fit.
    """
    paths = tuple(paths)
    found = _find_by_end(name, paths)
    if not found:
        found = _find_by_end(name_address(name), paths)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"{name}: no such image in the folder given; check --images")
    raise DataError(
        f"{name}: may be {found[0]} or {found[1]}; "
        "rename one, or give --images a folder that holds one of them"
    )


def _find_by_end(name: str, paths: Iterable[Path]) -> list[Path]:
    """Return the files whose paths end in the most parts of a name."""
    wanted = [fold_name(part) for part in name.replace("\\", "/").split("/") if part]
    best: list[Path] = []
    depth = 0
    for path in paths:
        shared = _count_shared(wanted, tuple(map(fold_name, path.parts)))
        if not shared and wanted and fold_name(path.stem) == wanted[-1]:
            shared = 1
        if shared > depth:
            best, depth = [path], shared
        elif shared and shared == depth:
            best.append(path)
    return best


def _count_shared(wanted: list[str], parts: tuple[str, ...]) -> int:
    """Return how many parts two paths share at their ends."""
    count = 0
    for mine, theirs in zip(reversed(wanted), reversed(parts), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
