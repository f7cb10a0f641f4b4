"""Cells as GeoJSON that QuPath opens as cell objects with nucleus, class and measurements, and back.

In: outlines and the cells table. Out: the text of ``cells.geojson``, in pixels of the image, y down. Back:
the cells that a person has corrected in QuPath and exported again.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from erythron.cells.outline import BoxedMask, CellOutline
from erythron.cells.table import PLACE_COLUMNS, name_groups
from erythron.errors import DataError
from erythron.interchange.cells import (
    MALFORMED,
    LabelledCell,
    LabelledImage,
    colour_of_group,
    make_cell,
    read_cell_id,
)
from erythron.interchange.outlines import Part, fill_parts, trace_masks

COLLECTION_START, COLLECTION_END = '{"type":"FeatureCollection","features":[', "]}"
"""What stands before and after the features of a collection, which commas part."""

_NO_MEASUREMENT = frozenset(PLACE_COLUMNS)
_LONGEST_NAME = 60
_NOT_OWN = "this holds no cells as erythron writes them; count the image again"
_PIECE = 1 << 20
"""Characters that are read at once: some two hundred cells."""


@dataclass(frozen=True)
class CellRings:
    """The outlines of one cell as polygons, in pixels of the image, see :mod:`erythron.interchange.outlines`.

    Attributes:
        cell: the parts of the whole cell, largest first, each its outer ring followed by its holes.
        nucleus: the same of its nucleus.
    """

    cell: list[Part]
    nucleus: list[Part]


def trace_cells(outlines: Iterable[CellOutline]) -> list[CellRings]:
    """Return the polygons of cells, in their order."""
    masks = [mask for outline in outlines for mask in (outline.whole, outline.nucleus_mask)]
    parts = trace_masks(masks)
    return [CellRings(cell, nucleus) for cell, nucleus in zip(parts[::2], parts[1::2], strict=True)]


def cells_to_geojson(rings: Sequence[CellRings], cells: pl.DataFrame) -> str:
    """Return a FeatureCollection with one feature a cell, see :func:`format_features`.

    Args:
        rings: the cells' outlines.
        cells: their table, in the same order.
    """
    return COLLECTION_START + ",".join(format_features(rings, cells)) + COLLECTION_END


def format_features(rings: Sequence[CellRings], cells: pl.DataFrame) -> list[str]:
    """Return the JSON of one feature a cell; a collection of them may be written piece by piece.

    ``geometry`` is the outline of the whole cell, ``nucleusGeometry`` that of its nucleus, each with its
    holes, and a MultiPolygon where it has several parts. The classification is what a person has called the
    cell, else ``unclassified`` or its label; the most probable class stays in ``metadata``.

    Args:
        rings: the cells' outlines.
        cells: their table, in the same order; every numeric column that is no place becomes a measurement.
    """
    measured = [
        name for name, kind in cells.schema.items() if kind.is_numeric() and name not in _NO_MEASUREMENT
    ]
    features = (
        {
            "type": "Feature",
            "id": str(uuid5(NAMESPACE_URL, f"{row['image']}#{row['cell_id']}")),
            "geometry": _as_geometry(traced.cell),
            "nucleusGeometry": _as_geometry(traced.nucleus),
            "properties": _make_properties(row, group, measured),
        }
        for row, group, traced in zip(cells.iter_rows(named=True), name_groups(cells), rings, strict=True)
    )
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return [encoder.encode(one) for one in features]


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
        properties = _take_object(feature.get("properties"))
        name = str(_take_object(properties.get("metadata")).get("image") or default_name)
        try:
            cells[name].append(_read_feature(feature, properties))
        except MALFORMED as error:
            called = str(properties.get("name") or number)[:_LONGEST_NAME]
            left_out[name].append(f"object {called}: {error}")
    names = dict.fromkeys([*cells, *left_out])
    return tuple(LabelledImage(name, tuple(cells[name]), tuple(left_out[name])) for name in names)


def iterate_rings(file: TextIO) -> Iterator[tuple[str, CellRings]]:
    """Yield name and polygons of each cell in a text of :func:`cells_to_geojson`, without filling them.

    The text is read piece by piece, and one cell is in memory at a time: that of a slide may be of gigabytes.

    Args:
        file: at its start.

    Raises:
        DataError: the text is none of erythron's.
    """
    decoder = json.JSONDecoder()
    if file.read(len(COLLECTION_START)) != COLLECTION_START:
        raise DataError(_NOT_OWN)
    try:
        held, place = file.read(_PIECE), 0
        while not held.startswith(COLLECTION_END, place):
            try:
                feature, place = decoder.raw_decode(held, place)
            except ValueError:
                more = file.read(_PIECE)
                if not more:
                    raise
                held, place = held[place:] + more, 0
                continue
            yield (
                str(feature["properties"]["name"]),
                CellRings(_as_parts(feature["geometry"]), _as_parts(feature["nucleusGeometry"])),
            )
            if len(held) - place < len(COLLECTION_END):
                held, place = held[place:] + file.read(_PIECE), 0
            place += held.startswith(",", place)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(_NOT_OWN) from error


def _as_parts(geometry: Mapping[str, Any]) -> list[Part]:
    coordinates: Any = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else coordinates


def _take_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def geometry_to_mask(geometry: Mapping[str, Any] | None) -> BoxedMask | None:
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
    classification = _take_object(properties.get("classification"))
    names = classification.get("names") or [classification.get("name")]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError("has no class; give it one")
    cell = geometry_to_mask(feature["geometry"])
    if cell is None:
        raise DataError("its outline holds no pixel; draw it larger")
    lobes = []
    if feature.get("nucleusGeometry") is not None:
        nucleus = geometry_to_mask(feature["nucleusGeometry"])
        lobes = [] if nucleus is None else [nucleus]
    return make_cell(": ".join(map(str, names)), cell, lobes, read_cell_id(properties.get("name")))


def _make_properties(row: Mapping[str, Any], group: str, measured: list[str]) -> dict[str, Any]:
    flags = row["flags"] or ""
    return {
        "objectType": "cell",
        "name": row["cell_id"],
        "classification": {"name": group, "color": list(colour_of_group(group))},
        "measurements": {
            name: row[name] for name in measured if row[name] is not None and math.isfinite(row[name])
        },
        "metadata": {"image": row["image"], "label": row["label"], "flags": flags},
    }


def _as_geometry(parts: list[Part]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
