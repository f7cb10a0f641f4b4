"""GeoJSON as QuPath reads it: valid outlines of the right area, classes, measurements, stable ids."""

from __future__ import annotations

import io
import json
import time
from typing import Any
from uuid import UUID

import geojson
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from shapely import contains_xy
from shapely.geometry import shape

from erythron.cells.outline import outlines_from_labels
from erythron.cells.palette import colour_of
from erythron.errors import DataError
from erythron.interchange import geojson as own_geojson
from erythron.interchange.cells import CountedImage
from erythron.interchange.geojson import cells_to_geojson, iterate_rings, read_geojson, trace_cells


def make_cells(count: int, **columns: list[Any]) -> pl.DataFrame:
    table: dict[str, list[Any]] = {
        "image": ["smear/a.png"] * count,
        "cell_id": [f"x{number}y0" for number in range(count)],
        "x_px": [1.0] * count,
        "y_px": [1.0] * count,
        "width_px": [3] * count,
        "height_px": [3] * count,
        "label": ["granulocyte"] * count,
        "confidence": [0.5] * count,
        "touches_edge": [False] * count,
        "flags": [""] * count,
    }
    return pl.DataFrame(table | columns)


def features_of(cell: NDArray[Any], nucleus: NDArray[Any], **columns: list[Any]) -> list[dict[str, Any]]:
    rings = trace_cells(outlines_from_labels(nucleus.astype(np.int32), cell.astype(np.int32)))
    text = cells_to_geojson(rings, make_cells(len(rings), **columns))
    collection = json.loads(text)
    assert collection["type"] == "FeatureCollection"
    return collection["features"]


def disc(height: int, width: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius


@settings(max_examples=150, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_mask_gives_valid_outlines_with_the_right_pixels(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        return
    feature = features_of(mask, mask)[0]
    whole = shape(feature["nucleusGeometry"])
    outline = shape(feature["geometry"])
    assert whole.is_valid
    assert outline.is_valid
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    assert np.array_equal(contains_xy(whole, columns + 0.5, rows + 0.5), mask)
    count = ndimage.label(mask)[1]
    holes = sum(len(p.interiors) for p in (whole.geoms if count > 1 else [whole]))
    assert whole.area == pytest.approx(mask.sum() - 0.5 * count + 0.5 * holes)
    assert outline.equals(whole)


def test_coordinates_are_pixels_with_y_down() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:6, 10:17] = True
    assert shape(features_of(mask, mask)[0]["geometry"]).bounds == (10, 2, 17, 6)


def test_rings_are_closed_and_holes_run_the_other_way() -> None:
    cell = disc(60, 60, 30, 30, 20) & ~disc(60, 60, 30, 22, 4)
    nucleus = disc(60, 60, 30, 36, 9)
    outline = features_of(cell, nucleus)[0]["geometry"]["coordinates"]
    assert len(outline) == 2
    assert all(ring[0] == ring[-1] for ring in outline)
    assert shape({"type": "Polygon", "coordinates": [outline[1]]}).area == pytest.approx(16 * np.pi, rel=0.1)
    polygon = shape({"type": "Polygon", "coordinates": outline})
    assert polygon.exterior.is_ccw != polygon.interiors[0].is_ccw
    assert polygon.area == pytest.approx(cell.sum(), abs=1)


def test_lobes_make_a_multipolygon_within_the_cell() -> None:
    cell = disc(60, 60, 30, 30, 25)
    nucleus = disc(60, 60, 20, 30, 7) | disc(60, 60, 40, 30, 7)
    feature = features_of(cell, nucleus)[0]
    assert feature["nucleusGeometry"]["type"] == "MultiPolygon"
    lobes = shape(feature["nucleusGeometry"])
    assert len(lobes.geoms) == 2
    assert shape(feature["geometry"]).covers(lobes)


def test_a_cell_in_two_parts_keeps_both_the_largest_first() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1:3, 1:3] = mask[8:18, 8:18] = True
    geometry = features_of(mask, mask)[0]["geometry"]
    assert geometry["type"] == "MultiPolygon"
    assert [part.bounds for part in shape(geometry).geoms] == [(8, 8, 18, 18), (1, 1, 3, 3)]


def test_what_qupath_reads() -> None:
    mask = np.ones((5, 5), bool)
    feature = features_of(mask, mask, area_px=[25], nc_ratio=[None], bad=[float("nan")])[0]
    properties = feature["properties"]
    assert feature["type"] == "Feature"
    assert properties["objectType"] == "cell"
    assert properties["classification"] == {"name": "granulocyte", "color": list(colour_of("granulocyte"))}
    assert properties["measurements"] == {"confidence": 0.5, "area_px": 25}
    assert set(map(type, properties["metadata"].values())) == {str}


def test_unclassified_is_classified_as_counted_and_keeps_its_call() -> None:
    mask = np.ones((5, 5), bool)
    properties = features_of(mask, mask, flags=["unclassified touches_edge"])[0]["properties"]
    assert properties["classification"]["name"] == "unclassified"
    assert properties["metadata"]["label"] == "granulocyte"


def test_ids_are_stable_and_differ_between_cells_and_images() -> None:
    labels = np.array([[1, 1, 0, 2, 2]])
    ids = [f["id"] for f in features_of(labels, labels)]
    assert ids == [f["id"] for f in features_of(labels, labels)]
    others = [f["id"] for f in features_of(labels, labels, image=["b.png", "b.png"])]
    assert len({*ids, *others}) == 4
    assert all(UUID(i).version == 5 for i in ids)


def test_no_cells_give_an_empty_collection() -> None:
    empty = np.zeros((9, 9), int)
    assert features_of(empty, empty) == []


def test_three_hundred_cells_take_less_than_a_moment() -> None:
    labels = np.zeros((1200, 1600), np.int32)
    for index in range(300):
        row, column = divmod(index, 20)
        block = labels[row * 80 : row * 80 + 80, column * 80 : column * 80 + 80]
        block[disc(80, 80, 40, 40, 30)] = index + 1
    cells, outlines = make_cells(300), outlines_from_labels(labels, labels)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        cells_to_geojson(trace_cells(outlines), cells)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0  # an idle core needs a fraction of it; the margin is for a busy machine


def test_the_geojson_library_finds_every_geometry_valid(counted_image: CountedImage) -> None:
    collection = geojson.loads(cells_to_geojson(trace_cells(counted_image.outlines), counted_image.table))
    assert isinstance(collection, geojson.FeatureCollection)
    assert len(collection["features"]) == 4
    for feature in collection["features"]:
        nucleus = geojson.loads(json.dumps(feature["nucleusGeometry"]))
        for geometry in (feature["geometry"], nucleus):
            assert isinstance(geometry, geojson.Polygon | geojson.MultiPolygon)
            assert not geometry.errors()
            assert shape(geometry).is_valid
        assert shape(feature["geometry"]).covers(shape(nucleus))


def test_a_round_trip_loses_nothing(counted_image: CountedImage) -> None:
    text = cells_to_geojson(trace_cells(counted_image.outlines), counted_image.table)
    image = read_geojson(json.loads(text), "other.png")[0]
    assert image.name == counted_image.name
    assert image.left_out == ()
    assert [c.cell_id for c in image.cells] == counted_image.table["cell_id"].to_list()
    assert [c.label for c in image.cells] == [
        "polychromatic_erythroblast", "granulocyte", "unclassified", "granulocyte",
    ]  # fmt: skip
    for found, outline in zip(image.cells, counted_image.outlines, strict=True):
        assert found.nucleus is not None
        for back, sent in ((found.cell, outline.whole), (found.nucleus, outline.nucleus_mask)):
            assert (back.left, back.top) == (sent.left, sent.top)
            assert np.array_equal(back.mask, sent.mask)


def qupath_feature(**properties: Any) -> dict[str, Any]:
    """An annotation as QuPath exports one that a person drew."""
    ring = [[3, 2], [9, 2], [9, 7], [3, 7], [3, 2]]
    return {
        "type": "Feature",
        "id": "6d4f3a1e-0b0c-4b60-9a7e-0f4f4f1f2d11",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", **properties},
    }


@pytest.mark.parametrize(
    ("classification", "label"),
    [
        ({"name": "Lymphocyte", "color": [1, 2, 3]}, "Lymphocyte"),
        ({"names": ["Erythroid", "Late"], "color": [1, 2, 3]}, "Erythroid: Late"),
    ],
)
def test_what_qupath_writes_itself_is_read(classification: dict[str, Any], label: str) -> None:
    feature = qupath_feature(classification=classification)
    for document in (feature, [feature], {"type": "FeatureCollection", "features": [feature]}):
        (image,) = read_geojson(document, "a.png")
        (cell,) = image.cells
        assert (image.name, cell.label, cell.cell_id, cell.nucleus) == ("a.png", label, None, None)
        assert (cell.cell.left, cell.cell.top, cell.cell.mask.shape) == (3, 2, (5, 6))
        assert cell.cell.mask.all()


def test_objects_that_give_no_cell_are_named() -> None:
    classified = {"classification": {"name": "x"}}
    point = qupath_feature(**classified) | {"geometry": {"type": "Point", "coordinates": [1, 1]}}
    nothing = qupath_feature(**classified) | {"geometry": None}
    (image,) = read_geojson([qupath_feature(name="Ann"), point, nothing], "a.png")
    assert image.cells == ()
    assert [("no class" in r, "Point" in r, "None" in r) for r in image.left_out] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert "Ann" in image.left_out[0]


@pytest.mark.parametrize("wrong", [3, {}, {"features": [1]}, {"features": None}])
def test_what_is_no_geojson_is_named(wrong: Any) -> None:
    with pytest.raises(DataError, match="export the objects"):
        read_geojson(wrong, "a.png")


def test_rings_of_ones_own_file_are_read_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = np.zeros((12, 20), np.int32)
    cell[1:8, 1:8], cell[3:9, 10:18] = 1, 2
    cell[4, 4] = 0  # a hole
    nucleus = np.where(np.isin(cell, (1, 2)), cell, 0)
    nucleus[1] = 0
    rings = trace_cells(outlines_from_labels(nucleus, cell))
    text = cells_to_geojson(rings, make_cells(2))
    for piece in (7, len(text), 1 << 20):
        monkeypatch.setattr(own_geojson, "_PIECE", piece)
        assert list(iterate_rings(io.StringIO(text))) == [("x0y0", rings[0]), ("x1y0", rings[1])]
    assert list(iterate_rings(io.StringIO(cells_to_geojson([], make_cells(0))))) == []
    foreign = text.replace("FeatureCollection", "featureCollection")
    for broken in (
        "",
        "{}",
        text[:-2],
        text[:-1],
        text.replace("nucleusGeometry", ""),
        "[" * 100_000,
        foreign,
    ):
        with pytest.raises(DataError, match="no cells as erythron writes them"):
            list(iterate_rings(io.StringIO(broken)))
