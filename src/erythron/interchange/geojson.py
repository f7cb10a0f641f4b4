"""Cells as GeoJSON that QuPath opens as cell objects with nucleus, class and measurements, and back.

In: outlines and the cells table. Out: the text of ``cells.geojson``, in pixels of the image, y down. Back:
the cells that a person has corrected in QuPath and exported again.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from erythron.errors import DataError
from erythron.interchange.cells import (
    LabelledCell,
    LabelledImage,
    colour_of_group,
    make_cell,
    name_group,
)
from erythron.interchange.outlines import Part, Patch, cut_patches, fill_parts, trace_patch
from erythron.segment.segmentation import Segmentation

_NO_MEASUREMENT = frozenset({"cell_id", "x_px", "y_px", "width_px", "height_px"})


def cells_to_geojson(segmentation: Segmentation, cells: pl.DataFrame) -> str:
    """Return a FeatureCollection with one feature a cell.

    ``geometry`` is the outline of the whole cell, ``nucleusGeometry`` that of its nucleus, each with its
    holes, and a MultiPolygon where it has several parts. How outlines run: see
    :mod:`erythron.interchange.outlines`. A cell flagged ``unclassified`` has that as its classification, as
    it is counted; its most probable class stays in ``metadata``.

    Args:
        segmentation: the cells' masks.
        cells: the cells table of the same image; every numeric column that is no place becomes a measurement.
    """
    outlines, nuclei = cut_patches(segmentation.cell), cut_patches(segmentation.nucleus)
    measured = [
        name for name, kind in cells.schema.items() if kind.is_numeric() and name not in _NO_MEASUREMENT
    ]
    features = [
        {
            "type": "Feature",
            "id": str(uuid5(NAMESPACE_URL, f"{row['image']}#{row['cell_id']}")),
            "geometry": _as_geometry(outlines[row["cell_id"] - 1]),
            "nucleusGeometry": _as_geometry(nuclei[row["cell_id"] - 1]),
            "properties": _make_properties(row, measured),
        }
        for row in cells.iter_rows(named=True)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_geojson(document: Any, default_name: str) -> tuple[LabelledImage, ...]:
    """Read cells out of GeoJSON, as QuPath exports them.

    Cells, detections and annotations with an area are read alike. A derived class of QuPath is named by its
    parts joined with ``": "``.

    Args:
        document: the parsed file: a FeatureCollection, a list of features or one feature.
        default_name: of the image of those objects that do not name theirs, as QuPath's own do not.

    Raises:
        DataError: it is no GeoJSON.
    """
    features = document.get("features", [document]) if isinstance(document, dict) else document
    if not isinstance(features, list) or not all(isinstance(f, dict) and "geometry" in f for f in features):
        raise DataError("this holds no GeoJSON features; export the objects as GeoJSON")
    cells: defaultdict[str, list[LabelledCell]] = defaultdict(list)
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for number, feature in enumerate(features, start=1):
        properties = feature.get("properties") or {}
        name = str((properties.get("metadata") or {}).get("image") or default_name)
        try:
            cells[name].append(_read_feature(feature, properties))
        except (DataError, TypeError, AttributeError) as error:
            left_out[name].append(f"object {properties.get('name') or number}: {error}")
    names = dict.fromkeys([*cells, *left_out])
    return tuple(LabelledImage(name, tuple(cells[name]), tuple(left_out[name])) for name in names)


def geometry_to_patch(geometry: Mapping[str, Any] | None) -> Patch | None:
    """Return the pixels of a GeoJSON geometry.

    Raises:
        DataError: the geometry has no area, or its coordinates are not as GeoJSON has them.
    """
    kind = None if geometry is None else geometry.get("type")
    if geometry is None or kind not in {"Polygon", "MultiPolygon"}:
        raise DataError(f"its geometry is {kind}, which is no outline; draw a polygon")
    coordinates = geometry.get("coordinates")
    parts: list[Part] = [coordinates] if kind == "Polygon" else coordinates  # type: ignore[assignment, list-item]
    return fill_parts(parts)


def _read_feature(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> LabelledCell:
    classification = properties.get("classification") or {}
    names = classification.get("names") or [classification.get("name")]
    if names[0] is None:
        raise DataError("has no class; give it one")
    cell = geometry_to_patch(feature["geometry"])
    if cell is None:
        raise DataError("its outline holds no pixel; draw it larger")
    lobes = []
    if feature.get("nucleusGeometry") is not None:
        nucleus = geometry_to_patch(feature["nucleusGeometry"])
        lobes = [] if nucleus is None else [nucleus]
    name = str(properties.get("name") or "")
    cell_id = int(name) if name.isascii() and name.isdigit() else None
    return make_cell(": ".join(map(str, names)), cell, lobes, cell_id)


def _make_properties(row: Mapping[str, Any], measured: list[str]) -> dict[str, Any]:
    flags = row["flags"] or ""
    group = name_group(row["label"], flags)
    return {
        "objectType": "cell",
        "name": str(row["cell_id"]),
        "classification": {"name": group, "color": list(colour_of_group(group))},
        "measurements": {
            name: row[name] for name in measured if row[name] is not None and math.isfinite(row[name])
        },
        "metadata": {"image": row["image"], "label": row["label"], "flags": flags},
    }


def _as_geometry(patch: Patch) -> dict[str, Any]:
    parts = trace_patch(patch)
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
