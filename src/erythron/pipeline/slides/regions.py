"""A region of a slide that a person drew: which blocks have a part in it, and which cells lie inside.

In: a GeoJSON file of polygons, as QuPath exports annotations, in pixels of the slide. Out: a
:class:`RegionSet`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from erythron.errors import DataError, describe_os_error
from erythron.files.reading import read_text
from erythron.read.box import Box
from erythron.read.source import Slide

Ring = tuple[tuple[float, float], ...]
Points = NDArray[np.float64]

_SQUARES = 128
"""Squares a side of which the middles tell how much of a box lies in a region."""

IGNORED = "Ignore*"
"""QuPath's class of what is not to be looked at."""


@dataclass(frozen=True)
class RegionSet:
    """Polygons to count inside.

    Attributes:
        polygons: each its outer ring and then its holes, corners (x, y) in pixels of the slide from the
            corner of its first pixel.
        box: around all of them, in whole pixels.
    """

    polygons: tuple[tuple[Ring, ...], ...]
    box: Box

    def holds(self, centres: Points) -> NDArray[np.bool_]:
        """Return whether each centre, (N, 2) x and y from the middle of the first pixel, is inside, (N,)."""
        inside = np.zeros(len(centres), np.bool_)
        for outer, *holes in self.polygons:
            here = _is_inside(centres + 0.5, outer)
            for hole in holes:
                here &= ~_is_inside(centres + 0.5, hole)
            inside |= here
        return inside

    def touches(self, box: Box) -> bool:
        """Return whether a box has a part in a polygon, however thin the polygon is there."""
        low, high = np.array([[box.left, box.top]]), np.array([[box.right, box.bottom]])
        if any(_enters(np.array(ring), low, high) for polygon in self.polygons for ring in polygon):
            return True
        # No edge comes into the box, so all of it is inside or none.
        return bool(self.holds((low + high) / 2 - 0.5).any())

    def measure(self, box: Box) -> float:
        """Return how many pixels of a box lie in a polygon, as the middles of some 16,000 squares tell."""
        x, y = (
            first + (np.arange(_SQUARES) + 0.5) * (last - first) / _SQUARES - 0.5
            for first, last in ((box.left, box.right), (box.top, box.bottom))
        )
        middles = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return float(self.holds(middles).mean()) * box.area_px


def _enters(ring: Points, low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    """Return whether an edge of a ring has a part between two corners of a box, (1, 2) each.

    Each edge is cut by the box's sides one after the other (Liang and Barsky 1984,
    doi 10.1145/357332.357333).
    """
    steps = np.roll(ring, -1, axis=0) - ring
    still = steps == 0
    first, second = (
        np.divide(side - ring, steps, where=~still, out=np.zeros_like(ring)) for side in (low, high)
    )
    between = (ring > low) & (ring < high)
    enter = np.where(still, np.where(between, -np.inf, np.inf), np.minimum(first, second))
    leave = np.where(still, np.inf, np.maximum(first, second))
    return bool((np.maximum(enter.max(axis=1), 0) < np.minimum(leave.min(axis=1), 1)).any())


def _is_inside(points: Points, ring: Ring) -> NDArray[np.bool_]:
    return np.asarray(points_in_poly(points, np.array(ring)), np.bool_)  # type: ignore[no-untyped-call]


def read_region_set(path: Path, slide: Slide) -> RegionSet:
    """Read the polygons of a region.

    Args:
        path: a GeoJSON file: a FeatureCollection, a list of features, one feature or one geometry.
        slide: that it was drawn on.

    Raises:
        DataError: the file cannot be read, holds no polygon or one that is to be ignored, or one lies outside
            the slide.
    """
    try:
        document = json.loads(read_text(path))
    except OSError as error:
        raise DataError(f"{path}: {describe_os_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no GeoJSON; export the annotations from QuPath as GeoJSON") from error
    try:
        polygons = tuple(_find_polygons(document))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataError(f"{path}: its coordinates are not as GeoJSON has them; export it again") from error
    if not polygons:
        raise DataError(f"{path}: holds no polygon; draw the region with QuPath's polygon or brush tool")
    whole = Box(0, 0, slide.width_px, slide.height_px)
    outside = sum(not _bound(outer).intersect(whole).area_px for outer, *_ in polygons)
    if outside:
        raise DataError(
            f"{path}: {outside} of {len(polygons)} polygons have no part in {slide.name} of "
            f"{slide.width_px}x{slide.height_px} px; give the region of this slide, in pixels "
            "at full resolution"
        )
    return RegionSet(polygons, _bound([corner for outer, *_ in polygons for corner in outer]))


def _bound(corners: Sequence[tuple[float, float]]) -> Box:
    x, y = np.array(corners).T
    return Box(floor(x.min()), floor(y.min()), ceil(x.max()), ceil(y.max()))


def _find_polygons(document: Any) -> list[tuple[Ring, ...]]:
    if isinstance(document, list):
        return [polygon for one in document for polygon in _find_polygons(one)]
    if "features" in document:
        return _find_polygons(document["features"])
    if "geometry" in document:
        found = _find_polygons(document["geometry"] or {})
        if found:
            _refuse_ignored(document)
        return found
    if "geometries" in document:
        return _find_polygons(document["geometries"])
    kind, coordinates = document.get("type"), document.get("coordinates")
    if kind == "Polygon":
        return [_read_polygon(coordinates)]
    return [_read_polygon(one) for one in coordinates] if kind == "MultiPolygon" else []


def _refuse_ignored(feature: Mapping[str, Any]) -> None:
    """Refuse what QuPath marks as not to be looked at: as one more polygon it would be counted.

    Its class ``Region*``, whose star says that no training learns from it, is of regions to be counted.
    """
    kind = ((feature.get("properties") or {}).get("classification") or {}).get("name")
    if kind == IGNORED:
        raise DataError(
            f"holds an annotation of the class '{kind}', which is not to be looked at and a region would "
            "count; subtract it from the others, or leave it out"
        )


def _read_polygon(rings: Any) -> tuple[Ring, ...]:
    read = tuple(tuple((float(x), float(y)) for x, y, *_ in ring) for ring in rings)
    if not all(len(ring) >= 3 and np.isfinite(ring).all() for ring in read):
        raise ValueError("a ring has fewer than three corners")
    return read
