"""Areas that cannot be read, on drawn ground and on a real field blurred in part."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.quality import areas as module
from erythron.quality.areas import find_cells_inside, find_left_out_areas, find_unreadable_areas
from erythron.quality.flags import LeftOutArea
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import estimate_background


def draw_ground() -> NDArray[np.uint8]:
    """Sharp cells of 40 px on glass, 480 x 720."""
    return _draw_ground().copy()


@cache
def _draw_ground() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    rgb = np.full((480, 720, 3), 225.0)
    y, x = np.mgrid[:480, :720]
    for cx, cy in rng.uniform((0, 0), (720, 480), (150, 2)):
        rgb[np.hypot(x - cx, y - cy) < 18] = (150, 120, 180)
        rgb[np.hypot(x - cx, y - cy) < 10] = (90, 50, 130)
    return np.asarray((rgb + rng.normal(0, 3, rgb.shape)).clip(0, 255), dtype=np.uint8)


CONSTANTS = Path(__file__).parents[2] / "docs" / "results" / "constants.md"
"""Its tables have a value below, the value, and one above, and what each is worth on real fields."""


@pytest.mark.parametrize(
    "name",
    ["_WINDOW", *(field.name for field in fields(module.AreaThresholds) if field.name != "fallback_mpp")],
)
def test_each_threshold_is_the_one_that_was_measured(name: str) -> None:
    used = getattr(module, name, None) or getattr(module.THRESHOLDS, name)
    (row,) = [line for line in CONSTANTS.read_text().splitlines() if line.startswith(f"| `areas.{name}` |")]
    assert float(row.split("|")[2].split("/")[1]) == used


@pytest.mark.parametrize(
    ("light", "bright", "share", "is_thick"),
    [
        (43, 200, 0.0, True),  # light of 0.215 and 0.225 on both sides of 0.22
        (45, 200, 0.0, False),
        (20, 200, 0.0199, True),  # glass on both sides of 0.02
        (20, 200, 0.0204, False),
        (20, 159, 0.03, True),  # brightness on both sides of that of glass, 0.8
        (20, 161, 0.03, False),
    ],
)
def test_an_area_is_too_thick_by_its_light_and_by_glass_in_it(
    light: int, bright: int, share: float, is_thick: bool
) -> None:
    square = np.full((48, 48), light, np.uint8)
    square.flat[: round(share * square.size)] = bright
    rgb = np.repeat(np.tile(square, (6, 6))[..., None], 3, axis=2)
    found = find_unreadable_areas(rgb, np.full(3, 200, np.float32), 0.25)
    assert ("too_thick" in {area.cause for area in found}) is is_thick


def test_an_area_as_large_as_a_window_is_left_out_and_a_smaller_one_is_not() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[1:6, 1:6] = True
    (found,) = module._outline(mask, 10, "too_thick", (80, 80), module.THRESHOLDS)
    assert found.area_fraction == pytest.approx(25 / 64)
    mask[1, 1] = False
    assert module._outline(mask, 10, "too_thick", (80, 80), module.THRESHOLDS) == []


def find_areas(rgb: NDArray[np.uint8], mpp: float | None) -> tuple[LeftOutArea, ...]:
    return find_unreadable_areas(rgb, estimate_background(rgb), mpp)


def blur(rgb: NDArray[np.uint8], columns: slice, sigma: float) -> NDArray[np.uint8]:
    blurred = rgb.copy()
    blurred[:, columns] = ndimage.gaussian_filter(rgb[:, columns], (sigma, sigma, 0))
    return blurred


@pytest.mark.parametrize("mpp", [0.25, None])
def test_the_blurred_half_is_left_out_and_the_sharp_half_is_not(mpp: float | None) -> None:
    areas = find_areas(blur(draw_ground(), slice(0, 360), 4.0), mpp)
    assert {area.cause for area in areas} == {"out_of_focus"}
    assert 0.3 < sum(area.area_fraction for area in areas) < 0.6
    inside = find_cells_inside(_cells_at([(240, 100), (240, 600)]), areas)
    assert inside.tolist() == [True, False]


@pytest.mark.parametrize("mpp", [0.15, 0.18, 0.2, 0.22, 0.25])
def test_a_field_out_of_focus_is_left_out_at_any_scale(mpp: float) -> None:
    areas = find_areas(blur(draw_ground(), slice(None), 0.75 / mpp), mpp)
    assert {area.cause for area in areas} == {"out_of_focus"}
    assert sum(area.area_fraction for area in areas) > 0.5


@pytest.mark.parametrize("mpp", [0.25, None])
def test_a_sharp_field_and_empty_glass_have_no_area(mpp: float | None) -> None:
    assert find_areas(draw_ground(), mpp) == ()
    assert find_areas(np.full((480, 720, 3), 230, np.uint8), mpp) == ()


def test_a_clump_without_light_is_too_thick() -> None:
    rgb = draw_ground()
    rgb[:, 400:] = np.random.default_rng(1).integers(5, 50, (480, 320, 3))
    areas = find_areas(rgb, 0.25)
    assert [area.cause for area in areas] == ["too_thick"]
    assert 0.25 < areas[0].area_fraction < 0.5


def test_a_small_image_is_not_judged() -> None:
    assert find_areas(draw_ground()[:137, :137], 0.25) == ()


def test_outline_and_fraction_are_of_one_area() -> None:
    for area in find_areas(blur(draw_ground(), slice(0, 360), 4.0), 0.25):
        x, y = np.array(area.outline).T
        enclosed = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        assert enclosed / (480 * 720) == pytest.approx(area.area_fraction)


def test_no_area_holds_no_cell_and_a_hollow_outline_holds_what_is_in_it() -> None:
    cells = _cells_at([(30, 30), (30, 70)])
    assert find_cells_inside(cells, ()).tolist() == [False, False]
    shape = ((0.0, 0.0), (50.0, 0.0), (50.0, 60.0), (0.0, 60.0))
    assert find_cells_inside(cells, (LeftOutArea("too_thick", shape, 0.1),)).tolist() == [True, False]
    assert find_cells_inside(cells.clear(), (LeftOutArea("too_thick", shape, 0.1),)).tolist() == []


@pytest.mark.real_data
def test_the_real_field_is_sharp_and_its_blurred_part_is_not(data_dir: Path) -> None:
    with Image.open(data_dir / "marrow-field" / "marrow-field-left.png") as image:
        rgb = np.asarray(image.convert("RGB"))
    for mpp in (0.25, None):
        assert find_areas(rgb, mpp) == ()
        areas = find_areas(blur(rgb, slice(0, 330), 3.0), mpp)
        assert 0.25 < sum(area.area_fraction for area in areas) < 0.6


def _cells_at(centres: list[tuple[int, int]]) -> pl.DataFrame:
    """Return a table of cells at rows and columns."""
    return pl.DataFrame(
        [(float(x), float(y)) for y, x in centres],
        schema={"x_px": pl.Float64, "y_px": pl.Float64},
        orient="row",
    )


def test_a_border_without_an_image_is_left_out_and_what_is_too_thick_beside_it_has_its_place() -> None:
    rgb = draw_ground()
    rgb[:, 300:] = np.random.default_rng(1).integers(5, 30, (480, 420, 3))
    rgb[:120] = 0
    image = SmearImage("a.png", rgb, 0.25, ScaleSource.OPTION)
    blank, thick = find_left_out_areas(image)
    assert (blank.cause, blank.area_fraction) == ("no_image", 0.25)
    assert blank.outline == ((0, 0), (720, 0), (720, 120), (0, 120))
    alone = SmearImage("b.png", np.ascontiguousarray(rgb[120:]), 0.25, ScaleSource.OPTION)
    [same] = find_left_out_areas(alone)
    assert (thick.cause, same.cause) == ("too_thick", "too_thick")
    assert thick.outline == tuple((x, y + 120) for x, y in same.outline)
    assert thick.area_fraction == pytest.approx(0.75 * same.area_fraction)
