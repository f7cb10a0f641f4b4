"""Cells as GeoJSON that QuPath opens as cell objects with nucleus, class and measurements.

In: outlines and the cells table. Out: the text of ``cells.geojson``, in pixels of the image, y down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
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
    rings = _rings(mask, origin)
    if len(rings) == 1:  # neither holes nor parts, as most cells are: no need to look for them
        return [rings]
    parts, count = ndimage.label(mask)
    if count == 1:
        return [rings]
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return [_rings(parts == part + 1, origin) for part in np.argsort(-sizes, kind="stable")]


def _rings(mask: NDArray[np.bool_], origin: NDArray[np.float64]) -> list[Ring]:
    """Return all closed rings, corners only, of a mask (H, W) that no border of the array touches.

    The pixel edges are walked with the mask on the right, so outer rings and holes run in opposite senses, as
    RFC 7946 wants. Where two pixels of the mask meet only at a corner, the walk turns right and parts them.
    Of a 4-connected mask the first ring is the outer one.
    """
    width = mask.shape[1] + 1
    exists = np.zeros((mask.shape[0] + 1, width, 4), dtype=np.bool_)  # by corner of start and heading
    outside = ~mask
    exists[1:-1, :-1, 0] = mask[1:] & outside[:-1]
    exists[:-1, 1:-1, 1] = mask[:, :-1] & outside[:, 1:]
    exists[1:-1, 1:, 2] = mask[:-1] & outside[1:]
    exists[1:, 1:-1, 3] = mask[:, 1:] & outside[:, :-1]
    exists = exists.reshape(-1)
    edges = np.flatnonzero(exists)
    corners, headings = np.divmod(edges, 4)
    ahead = 4 * (corners + np.array([1, width, -1, -width])[headings])
    right, left = ahead + (headings + 1) % 4, ahead + (headings + 3) % 4
    onward = np.where(exists[right], right, np.where(exists[ahead + headings], ahead + headings, left))
    after = np.searchsorted(edges, onward)
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    bends = headings[before] != headings[after]
    half_steps = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, 0.0], [0.0, -0.5]])
    middles = np.stack([corners % width, corners // width], axis=1) + half_steps[headings] + origin
    rings = []
    for walk in _cycles(after.tolist()):
        ring = middles[[edge for edge in walk if bends[edge]]].tolist()
        rings.append([*ring, ring[0]])
    return rings


def _cycles(after: list[int]) -> Iterator[list[int]]:
    """Yield the cycles of a permutation, each from its lowest element."""
    seen = [False] * len(after)
    for start in range(len(after)):
        walk = []
        here = start
        while not seen[here]:
            seen[here] = True
            walk.append(here)
            here = after[here]
        if walk:
            yield walk
