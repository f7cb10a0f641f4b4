"""Cells as GeoJSON that QuPath opens as cell objects with nucleus, class and measurements.

In: outlines and the cells table. Out: the text of ``cells.geojson``, in pixels of the image, y down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage

from erythron.report.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.segment.segmentation import Segmentation

_NO_MEASUREMENT = frozenset({"cell_id", "x_px", "y_px", "width_px", "height_px"})

Ring = list[list[float]]


def cells_to_geojson(segmentation: Segmentation, cells: pl.DataFrame) -> str:
    """Return a FeatureCollection with one feature a cell.

    ``geometry`` is the outline of the whole cell (the largest part where its mask has several, with its
    holes), ``nucleusGeometry`` that of all lobes of the nucleus. Outlines run through the middles of pixel
    edges, where (0, 0) is the upper left corner of the image; such a ring never touches itself, and encloses
    the area of its pixels less half a pixel. A cell flagged ``unclassified`` has that as its classification,
    as it is counted; its most probable class stays in ``metadata``.

    Args:
        segmentation: the cells' masks.
        cells: the cells table of the same image; every numeric column that is no place becomes a measurement.
    """
    cell_boxes = ndimage.find_objects(segmentation.cell)
    nucleus_boxes = ndimage.find_objects(segmentation.nucleus)
    measured = [
        name for name, kind in cells.schema.items() if kind.is_numeric() and name not in _NO_MEASUREMENT
    ]
    features = []
    for row in cells.iter_rows(named=True):
        cell_id = row["cell_id"]
        outline = _outline_parts(segmentation.cell, cell_boxes[cell_id - 1], cell_id)
        lobes = _outline_parts(segmentation.nucleus, nucleus_boxes[cell_id - 1], cell_id)
        features.append(
            {
                "type": "Feature",
                "id": str(uuid5(NAMESPACE_URL, f"{row['image']}#{cell_id}")),
                "geometry": {"type": "Polygon", "coordinates": outline[0]},
                "nucleusGeometry": _as_geometry(lobes),
                "properties": _make_properties(row, measured),
            }
        )
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _make_properties(row: Mapping[str, Any], measured: list[str]) -> dict[str, Any]:
    flags = row["flags"] or ""
    unclassified = "unclassified" in flags.split(";")
    colour = UNCLASSIFIED_COLOUR if unclassified else colour_of(row["label"])
    return {
        "objectType": "cell",
        "name": str(row["cell_id"]),
        "classification": {"name": "unclassified" if unclassified else row["label"], "color": list(colour)},
        "measurements": {
            name: row[name] for name in measured if row[name] is not None and math.isfinite(row[name])
        },
        "metadata": {"image": row["image"], "label": row["label"], "flags": flags},
    }


def _as_geometry(parts: list[list[Ring]]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _outline_parts(labels: NDArray[np.int32], box: tuple[slice, slice], label: int) -> list[list[Ring]]:
    """Return the parts of one label, largest first, each as its outer ring followed by its holes."""
    mask = np.pad(labels[box] == label, 1)
    origin = np.array([box[1].start - 1, box[0].start - 1], dtype=np.float64)
    parts, count = ndimage.label(mask)
    if count == 1:
        return [_rings(mask, origin)]
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return [_rings(parts == part + 1, origin) for part in np.argsort(-sizes, kind="stable")]


def _rings(part: NDArray[np.bool_], origin: NDArray[np.float64]) -> list[Ring]:
    """Return the outer ring and the holes of one 4-connected part (H, W) that no border of the array touches.

    The pixel edges are walked with the part on the right, so outer ring and holes run in opposite senses, as
    RFC 7946 wants. Where two pixels of the part meet only at a corner, the walk turns right and parts them.
    """
    width = part.shape[1] + 1
    starts = (0, 1, width + 1, width)
    steps = (1, width, -1, -width)
    outside = ~part
    neighbours = (
        outside[:-2, 1:-1],
        outside[1:-1, 2:],
        outside[2:, 1:-1],
        outside[1:-1, :-2],
    )
    unwalked: set[int] = set()
    for heading, neighbour in enumerate(neighbours):
        rows, columns = np.nonzero(part[1:-1, 1:-1] & neighbour)
        corners = (rows + 1) * width + columns + 1 + starts[heading]
        unwalked.update((corners * 4 + heading).tolist())
    rings = []
    while unwalked:
        edge = min(unwalked)  # the first edge of all lies on the outer ring
        walk = []
        while edge in unwalked:
            unwalked.remove(edge)
            walk.append(edge)
            corner, heading = divmod(edge, 4)
            ahead = (corner + steps[heading]) * 4
            edge = ahead + (heading + 1) % 4
            if edge not in unwalked:
                edge = ahead + heading
                if edge not in unwalked:
                    edge = ahead + (heading + 3) % 4
        rings.append(_through_middles(np.array(walk), width) + origin)
    return [ring.tolist() for ring in rings]


def _through_middles(walk: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """Return the closed ring (N, 2), x and y, through the middles of walked edges, corners only."""
    corners, headings = np.divmod(walk, 4)
    half_steps = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]])
    middles = np.stack([corners % width, corners // width], axis=1) + half_steps[headings]
    onward = np.roll(middles, -1, axis=0) - middles
    before = np.roll(onward, 1, axis=0)
    ring = middles[before[:, 0] * onward[:, 1] != before[:, 1] * onward[:, 0]]
    return np.concatenate([ring, ring[:1]])
