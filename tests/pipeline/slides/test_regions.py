"""Regions as QuPath exports them: polygons with holes, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.slides import ArraySlide

from erythron.errors import DataError
from erythron.pipeline.slides.regions import read_region_set
from erythron.read.box import Box

SLIDE = ArraySlide("s.svs", np.zeros((300, 400, 3), np.uint8))
SQUARE = [[10, 10], [110, 10], [110, 110], [10, 110], [10, 10]]
HOLE = [[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
MULTI = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]}
FAR = [[900, 900], [950, 900], [900, 950]]
FEATURE = {"type": "Feature", "geometry": POLYGON, "properties": {"objectType": "annotation"}}

IGNORED = {**FEATURE, "properties": {"objectType": "annotation", "classification": {"name": "Ignore*"}}}


def write(folder: Path, document: Any) -> Path:
    path = folder / "region.geojson"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    "document",
    [
        POLYGON,
        MULTI,
        FEATURE,
        [FEATURE],
        {"type": "FeatureCollection", "features": [FEATURE]},
        {"type": "GeometryCollection", "geometries": [POLYGON]},
    ],
)
def test_polygons_are_read_from_every_form_of_geojson(document: Any, tmp_path: Path) -> None:
    region = read_region_set(write(tmp_path, document), SLIDE)
    assert region.box == Box(10, 10, 110, 110)
    assert region.measure(Box(0, 0, 128, 128)) == 100**2 - 20**2
    assert region.measure(Box(60, 60, 400, 300)) == pytest.approx(50**2, rel=0.03)
    assert region.measure(Box(41, 41, 59, 59)) == 0
    centres = np.array([[20.0, 20.0], [50.0, 50.0], [5.0, 50.0]])
    assert region.holds(centres).tolist() == [True, False, False]
    assert region.touches(Box(0, 0, 12, 12))
    assert region.touches(Box(0, 0, 400, 300))
    assert not region.touches(Box(45, 45, 55, 55))
    assert not region.touches(Box(200, 200, 300, 300))


def test_a_thin_region_has_a_part_in_every_box_that_it_runs_through(tmp_path: Path) -> None:
    strip = [[110, 0], [113, 0], [313, 300], [310, 300]]
    region = read_region_set(write(tmp_path, {"type": "Polygon", "coordinates": [strip]}), SLIDE)
    boxes = [Box(x, y, x + 20, y + 20) for x in range(0, 400, 20) for y in range(0, 300, 20)]
    # At the middle of the pixels of each row the strip is 3 pixels wide.
    rows = np.arange(300) + 0.5
    for box in boxes:
        first = 110 + rows * 2 / 3
        has_part = (rows > box.top) & (rows < box.bottom) & (first < box.right) & (first + 3 > box.left)
        assert region.touches(box) == has_part.any()
    upright = [[[110, 0], [113, 0], [113, 300], [110, 300], [110, 0]]]
    region = read_region_set(write(tmp_path, {"type": "Polygon", "coordinates": upright}), SLIDE)
    assert region.touches(Box(0, 60, 400, 200))
    assert not region.touches(Box(113, 60, 400, 200))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("no json", "is no GeoJSON"),
        ({"type": "Point", "coordinates": [1, 2]}, "holds no polygon"),
        ({"type": "FeatureCollection", "features": []}, "holds no polygon"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}, "coordinates are not"),
        ({"type": "Polygon", "coordinates": [[["a", 2], [3, 4], [5, 6]]]}, "coordinates are not"),
        ({"type": "Polygon"}, "coordinates are not"),
        ("7", "coordinates are not"),
        ({"type": "Polygon", "coordinates": [FAR]}, "1 of 1 polygons have no part in"),
        # Drawn on another slide, of which this one holds a part: the rest was passed over.
        (
            {"type": "MultiPolygon", "coordinates": [[SQUARE], [FAR]]},
            "1 of 2 polygons have no part in s.svs of 400",
        ),
        # QuPath's class for what is not to be looked at was counted as a region of its own.
        ([FEATURE, IGNORED], r"class 'Ignore\*', which is not to be looked at"),
    ],
)
def test_a_file_that_is_no_region_is_refused_with_the_reason(
    document: Any, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path, document)
    with pytest.raises(DataError, match=reason) as caught:
        read_region_set(path, SLIDE)
    assert str(path) in str(caught.value)


def test_an_annotation_of_qupaths_class_of_regions_is_a_region(tmp_path: Path) -> None:
    region = {**FEATURE, "properties": {"classification": {"name": "Region*"}}}
    assert read_region_set(write(tmp_path, region), SLIDE) == read_region_set(write(tmp_path, FEATURE), SLIDE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_region_set(tmp_path / "lost.geojson", SLIDE)
