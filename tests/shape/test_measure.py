"""Measurements: drawn shapes of known size, units, empties, and agreement with scikit-image."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import polars as pl
import polars.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import perimeter_crofton, regionprops

from erythron.cells.outline import CellOutline, outlines_from_labels
from erythron.errors import DataError
from erythron.shape.mask import convex_hull
from erythron.shape.measure import MEASURED_COLUMNS, measure_cells


def draw_disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


class Drawn:
    """Cells as label images, (H, W) int32, and as outlines."""

    def __init__(self, nucleus: np.ndarray, cell: np.ndarray) -> None:
        self.nucleus, self.cell = nucleus, cell
        self.outlines = outlines_from_labels(nucleus, cell)


def make_disc_cell(radius: float, nucleus_radius: float, offset: float = 0.0) -> Drawn:
    size = int(2 * radius) + 8
    centre = (size / 2 + offset, size / 2 - offset)
    cell = draw_disc((size, size), centre, radius).astype(np.int32)
    nucleus = draw_disc((size, size), centre, nucleus_radius).astype(np.int32)
    return Drawn(nucleus, cell)


def make_blobs(seed: int, count: int = 12) -> Drawn:
    """Random cells of several parts on a grid, each with a nucleus of random pixels."""
    rng = np.random.default_rng(seed)
    cell = np.zeros((96, 128), np.int32)
    for i in range(count):
        y, x = 32 * (i // 4), 32 * (i % 4)
        part = draw_disc((32, 32), (16, 16), rng.uniform(5, 15)) & (rng.random((32, 32)) < 0.9)
        part[16, 16] = True
        cell[y : y + 32, x : x + 32][part] = i + 1
    nucleus = np.where(rng.random(cell.shape) < 0.5, cell, 0)
    nucleus[16::32, 16::32] = cell[16::32, 16::32]
    return Drawn(nucleus.astype(np.int32), cell)


def grey_image(drawn: Drawn, value: int = 120) -> np.ndarray:
    return np.full((*drawn.cell.shape, 3), value, np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.floats(8, 45), st.floats(-0.5, 0.5))
def test_disc_has_its_diameter_and_is_round(radius: float, offset: float) -> None:
    drawn = make_disc_cell(radius, 0.7 * radius, offset)
    row = measure_cells(grey_image(drawn), drawn.outlines, 0.1).row(0, named=True)
    # At 8.5 px the border meets whole rings of pixel centres: the disc loses 2.4 % of its diameter.
    assert row["cell_diameter_px"] == pytest.approx(2 * radius, rel=0.03)
    assert row["cell_diameter_um"] == pytest.approx(0.2 * radius, rel=0.03)
    # A radius that ends on pixel centres gains up to half a pixel all round: (8 / 8.5) ** 2 at worst.
    assert 0.88 < row["cell_circularity"] <= 1
    assert row["cell_eccentricity"] < 0.3
    assert row["cell_solidity"] == pytest.approx(1, abs=0.01)
    assert row["nucleus_fraction"] == pytest.approx(0.49, rel=0.11)
    assert row["nc_ratio"] == pytest.approx(row["nucleus_fraction"] / (1 - row["nucleus_fraction"]))


def test_perimeter_of_discs_has_no_bias() -> None:
    rng = np.random.default_rng(1)
    circularity = []
    for radius in rng.uniform(10, 40, 200):
        drawn = make_disc_cell(radius, 3, rng.uniform(-0.5, 0.5))
        circularity += measure_cells(grey_image(drawn), drawn.outlines, None)["cell_circularity"].to_list()
    # Clipping at 1 cuts the upper half of the scatter, hence not quite 1.
    assert np.mean(circularity) == pytest.approx(0.99, abs=0.01)
    assert np.median(circularity) > 0.985


def test_square_has_the_perimeter_that_four_directions_see() -> None:
    cell = np.zeros((70, 70), np.int32)
    cell[5:65, 5:65] = 1
    row = measure_cells(np.zeros((70, 70, 3), np.uint8), outlines_from_labels(cell, cell), None).row(
        0, named=True
    )
    perimeter = math.pi / 8 * (2 * 120 + 2 * 2 * 119 / math.sqrt(2))
    assert row["cell_circularity"] == pytest.approx(4 * math.pi * 3600 / perimeter**2)
    assert row["cell_solidity"] == 1
    assert row["nc_ratio"] is None
    assert row["cytoplasm_mean_red"] is None
    assert row["cytoplasm_area_px"] == 0
    assert row["nucleus_fraction"] == 1


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_image(seed: int) -> None:
    drawn = make_blobs(seed)
    table = measure_cells(grey_image(drawn), drawn.outlines, None)
    for name, labels in (("cell", drawn.cell), ("nucleus", drawn.nucleus)):
        for region in regionprops(labels):
            row = table.row(region.label - 1, named=True)
            assert row[f"{name}_area_px"] == region.area
            hull = convex_hull(labels == region.label)
            assert row[f"{name}_solidity"] == pytest.approx(region.area / hull.sum())
            perimeter = perimeter_crofton(np.pad(region.image, 2), directions=4)
            expected = min(4 * math.pi * region.area / perimeter**2, 1)
            assert row[f"{name}_circularity"] == pytest.approx(expected)
            y0, x0, y1, x1 = region.bbox
            if name == "cell":
                assert (row["width_px"], row["height_px"]) == (x1 - x0, y1 - y0)
            else:
                assert (row["y_px"], row["x_px"]) == pytest.approx(region.centroid)


def test_solidity_of_pixels_on_a_line_is_exact() -> None:
    cell = np.zeros((12, 20), np.int32)
    cell[1, 1] = 1
    cell[3, 2:7] = 2
    cell[3, 4] = 0
    cell[5:9, 3] = 3
    cell[[5, 8, 11], [9, 12, 15]] = 4
    table = measure_cells(np.zeros((12, 20, 3), np.uint8), outlines_from_labels(cell, cell), None)
    assert table["cell_solidity"].to_list() == pytest.approx([1, 4 / 5, 1, 3 / 7])
    assert table["nucleus_lobes"].to_list() == [1, 2, 1, 3]
    assert table["touches_edge"].to_list() == [False, False, False, True]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 2))
def test_scale_changes_micrometres_and_nothing_else(seed: int, mpp: float) -> None:
    drawn = make_blobs(seed)
    rgb = np.random.default_rng(seed).integers(0, 256, (*drawn.cell.shape, 3), dtype=np.uint8)
    one, other, none = (measure_cells(rgb, drawn.outlines, m) for m in (1.0, mpp, None))
    um = [c for c in MEASURED_COLUMNS if c.endswith(("_um", "_um2"))]
    assert len(um) == 5
    assert one.drop(um).equals(other.drop(um))
    assert one.drop(um).equals(none.drop(um))
    for column in um:
        power = 2 if column.endswith("2") else 1
        np.testing.assert_allclose(other[column], one[column] * mpp**power)
        assert none[column].null_count() == none.height


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_invariants_of_any_cells(seed: int) -> None:
    drawn = make_blobs(seed)
    rgb = np.random.default_rng(seed).integers(0, 256, (*drawn.cell.shape, 3), dtype=np.uint8)
    table = measure_cells(rgb, drawn.outlines, 0.1)
    assert dict(table.schema) == MEASURED_COLUMNS
    assert table["cell_id"].to_list() == [outline.cell_id for outline in drawn.outlines]
    assert table["cell_id"].n_unique() == table.height == 12
    assert table["nucleus_fraction"].is_between(0, 1, closed="right").all()
    assert (table["nucleus_area_px"] + table["cytoplasm_area_px"] == table["cell_area_px"]).all()
    for name in ("eccentricity", "solidity", "circularity"):
        assert table[f"cell_{name}"].is_between(0, 1).all()
        assert table[f"nucleus_{name}"].is_between(0, 1).all()
    assert (table["nucleus_lobes"] >= 1).all()
    assert not any(table[c].is_nan().any() for c, t in table.schema.items() if t == pl.Float64)


def test_colours_and_texture_are_those_of_the_parts() -> None:
    drawn = make_disc_cell(14, 8)
    rgb = grey_image(drawn, 230)
    rgb[drawn.cell > 0] = (180, 160, 210)
    rgb[drawn.nucleus > 0] = (90, 50, 140)
    flat = measure_cells(rgb, drawn.outlines, None).row(0, named=True)
    assert [flat[f"nucleus_mean_{c}"] for c in ("red", "green", "blue")] == pytest.approx([90, 50, 140])
    assert [flat[f"cytoplasm_mean_{c}"] for c in ("red", "green", "blue")] == pytest.approx([180, 160, 210])
    assert flat["nucleus_sd_grey"] == pytest.approx(0, abs=1e-9)
    rgb[drawn.nucleus > 0] += np.where(np.arange(int((drawn.nucleus > 0).sum())) % 2, 20, 0)[:, None].astype(
        np.uint8
    )
    assert measure_cells(rgb, drawn.outlines, None)["nucleus_sd_grey"][0] == pytest.approx(10, abs=0.1)


def test_no_cells_give_an_empty_table_of_the_same_columns() -> None:
    table = measure_cells(np.zeros((40, 50, 3), np.uint8), (), 0.1)
    assert table.height == 0
    assert dict(table.schema) == MEASURED_COLUMNS


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_measured_together_is_what_each_is_alone(seed: int) -> None:
    drawn = make_blobs(seed)
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*drawn.cell.shape, 3), dtype=np.uint8)
    # Of several sizes, and in any order.
    outlines = [
        dataclasses.replace(drawn.outlines[i], score=float(rng.random())) for i in rng.permutation(12)
    ]
    together = measure_cells(rgb, outlines, 0.2)
    alone = pl.concat([measure_cells(rgb, [outline], 0.2) for outline in outlines])
    polars.testing.assert_frame_equal(together, alone, rel_tol=1e-12)
    assert together["outline_score"].to_list() == [outline.score for outline in outlines]


def test_a_cell_is_measured_alike_wherever_it_lies_and_touches_the_border_only_there() -> None:
    (outline,) = make_disc_cell(9, 5).outlines
    height, width = outline.cell.shape
    rgb = np.full((60, 70, 3), 120, np.uint8)
    places = [(0, 7), (7, 0), (70 - width, 7), (7, 60 - height), (1, 1), (69 - width, 59 - height)]
    moved = [dataclasses.replace(outline, left=left, top=top) for left, top in places]
    table = measure_cells(rgb, moved, 0.2)
    assert table["touches_edge"].to_list() == [True] * 4 + [False] * 2
    same = table.drop("cell_id", "x_px", "y_px", "touches_edge")
    assert same.unique().height == 1
    for row, (left, top) in zip(table.iter_rows(named=True), places, strict=True):
        assert (row["x_px"] - left, row["y_px"] - top) == pytest.approx(((width - 1) / 2, (height - 1) / 2))


def test_an_outline_without_a_score_has_none() -> None:
    drawn = make_disc_cell(9, 5)
    assert measure_cells(grey_image(drawn), drawn.outlines, None)["outline_score"].to_list() == [None]


@pytest.mark.parametrize(("left", "top"), [(-1, 0), (0, -1), (5, 0), (0, 4)])
def test_an_outline_beyond_the_image_is_refused(left: int, top: int) -> None:
    whole = np.ones((7, 6), bool)
    outline = CellOutline(left, top, whole, whole, 1.0)
    with pytest.raises(DataError, match=rf"at \({left}, {top}\) of 6x7 px reaches beyond its image of 10x10"):
        measure_cells(np.zeros((10, 10, 3), np.uint8), [outline], 0.1)


def test_five_hundred_cells_are_measured_quickly() -> None:
    cell = np.zeros((560, 992), np.int32)
    nucleus = np.zeros_like(cell)
    for i in range(500):
        y, x = 28 * (i // 25), 39 * (i % 25)
        cell[y : y + 28, x : x + 39][draw_disc((28, 39), (14, 19), 13)] = i + 1
        nucleus[y : y + 28, x : x + 39][draw_disc((28, 39), (14, 19), 9)] = i + 1
    drawn = Drawn(nucleus, cell)
    rgb = grey_image(drawn)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        table = measure_cells(rgb, drawn.outlines, 0.1)
        seconds.append(time.process_time() - start)
    assert table.height == 500
    assert min(seconds) < 0.3


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (3, 4), (5, 13)])
def test_a_rectangle_of_pixels_has_the_eccentricity_of_the_rectangle(rows: int, columns: int) -> None:
    """Its second moments are a twelfth of its squared sides, each pixel being a square and not a point."""
    cell = np.zeros((9, 20), np.int32)
    cell[2 : 2 + rows, 3 : 3 + columns] = 1
    drawn = Drawn(cell.copy(), cell)
    found = measure_cells(grey_image(drawn), drawn.outlines, 0.25)["nucleus_eccentricity"].item()
    assert found == pytest.approx(math.sqrt(1 - (rows / columns) ** 2))


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 135])
def test_a_tilted_ellipse_has_the_eccentricity_of_the_ellipse(degrees: float) -> None:
    y, x = np.mgrid[-40:41, -40:41]
    turn = math.radians(degrees)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    ellipse = ((along / 32) ** 2 + (across / 16) ** 2 <= 1).astype(np.int32)
    drawn = Drawn(ellipse, ellipse)
    found = measure_cells(grey_image(drawn), drawn.outlines, 0.25)["nucleus_eccentricity"].item()
    assert found == pytest.approx(math.sqrt(1 - (16 / 32) ** 2), abs=0.003)


def test_lobes_that_touch_at_a_corner_are_one() -> None:
    cell = np.ones((6, 12), np.int32)
    nucleus = np.zeros_like(cell)
    nucleus[1:3, 1:3] = nucleus[3:5, 3:5] = 1
    drawn = Drawn(nucleus.copy(), cell)
    assert measure_cells(grey_image(drawn), drawn.outlines, 0.25)["nucleus_lobes"].item() == 1
    nucleus[3:5, 3:5], nucleus[3:5, 4:6] = 0, 1
    drawn = Drawn(nucleus, cell)
    assert measure_cells(grey_image(drawn), drawn.outlines, 0.25)["nucleus_lobes"].item() == 2


@pytest.mark.parametrize(
    ("rows", "columns", "touches"),
    [
        ((1, 4), (1, 4), False),
        ((0, 3), (1, 4), True),
        ((1, 4), (0, 3), True),
        ((2, 5), (1, 4), True),
        ((1, 4), (3, 6), True),
    ],
)
def test_each_border_of_an_image_cuts_the_cells_on_it_alone(
    rows: tuple[int, int], columns: tuple[int, int], touches: bool
) -> None:
    cell = np.zeros((5, 6), np.int32)
    cell[slice(*rows), slice(*columns)] = 1
    drawn = Drawn(cell.copy(), cell)
    assert measure_cells(grey_image(drawn), drawn.outlines, 0.25)["touches_edge"].item() is touches
