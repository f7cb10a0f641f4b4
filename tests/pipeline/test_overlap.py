"""The same cells in several images of a specimen: found by their measures and places, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from erythron.pipeline.overlap import (
    FEWEST_SHARED,
    IMAGES_OVERLAP,
    MOST_FIELDS,
    NOT_COMPARED,
    PlacedCells,
    find_overlaps,
    judge_overlap,
    place_cells,
)
from erythron.quality.flags import is_provisional

SIDE = 600
MIDDLE = SIDE / 2 * (1 + 1j)
# As the cells of a marrow field: logarithms of areas, colours that go together, grey, eccentricity.
MEANS = (6.2, 7.0, 110, 70, 140, 14, 0.5)
SPREADS = (0.6, 0.6, 20, 15, 20, 3.3, 0.19)
# After JPEG or a turn, by benchmarks/overlap.py.
CHANGES = (0.04, 0.1, 0.8, 0.8, 0.6, 0.7, 0.03)


def draw_cells(count: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return make_table(rng.uniform(0, SIDE, (count, 2)) @ (1, 1j), rng.normal(MEANS, SPREADS, (count, 7)))


def make_table(places: NDArray[np.complex128], measures: NDArray[np.float64]) -> pl.DataFrame:
    names = ("nucleus_mean_red", "nucleus_mean_green", "nucleus_mean_blue", "nucleus_sd_grey")
    return pl.DataFrame(
        {
            "x_px": places.real,
            "y_px": places.imag,
            "nucleus_diameter_px": 28.0,
            "nucleus_area_px": np.exp(measures[:, 0]),
            "cell_area_px": np.exp(measures[:, 1]),
            **dict(zip(names, measures[:, 2:6].T, strict=True)),
            "nucleus_eccentricity": measures[:, 6],
            "counted_as": "granulocyte",
        }
    )


def photograph_again(cells: pl.DataFrame, turn: complex = 1, *, is_mirrored: bool = False) -> pl.DataFrame:
    """Return the cells of a copy: moved, outlined a little otherwise, in another order."""
    rng = np.random.default_rng(9)
    places = cells["x_px"].to_numpy() + 1j * cells["y_px"].to_numpy() - MIDDLE
    places = (places.conj() if is_mirrored else places) * turn + MIDDLE
    places += rng.normal(0, 0.4, (cells.height, 2)) @ (1, 1j)
    areas = np.log(cells.select("nucleus_area_px", "cell_area_px").to_numpy())
    rest = cells.select(pl.col("^nucleus_(mean|sd|ecc).*$")).to_numpy()
    measures = np.hstack((areas, rest)) + rng.normal(0, CHANGES, (cells.height, 7))
    return make_table(places, measures).sample(fraction=1, shuffle=True, seed=1)


def place(*tables: pl.DataFrame) -> list[PlacedCells]:
    return [place_cells(table, SIDE, SIDE) for table in tables]


def list_found(*tables: pl.DataFrame) -> list[tuple[int, int, int]]:
    return [(found.first, found.second, found.shared) for found in find_overlaps(place(*tables))]


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 33])
def test_a_copy_is_found_however_it_is_turned(degrees: int, is_mirrored: bool) -> None:
    cells = draw_cells(120, seed=0)
    copy = photograph_again(cells, np.exp(1j * np.radians(degrees)), is_mirrored=is_mirrored)
    [(first, second, shared)] = list_found(draw_cells(80, seed=1), cells, copy)
    assert (first, second) == (1, 2)
    assert 114 <= shared <= 120


def test_a_crop_that_overlaps_is_found_with_the_cells_that_both_show() -> None:
    cells = draw_cells(150, seed=2)
    upper, lower = cells.filter(pl.col("y_px") < 400), photograph_again(cells.filter(pl.col("y_px") > 200))
    both = cells.filter(pl.col("y_px").is_between(200, 400)).height
    [(_, _, shared)] = list_found(upper, lower.with_columns(pl.col("y_px") - 200))
    assert 0.9 * both <= shared <= both


def test_parts_without_a_common_cell_are_not_called_overlapping() -> None:
    cells = draw_cells(150, seed=3)
    assert list_found(cells.filter(pl.col("y_px") < 300), cells.filter(pl.col("y_px") >= 300)) == []
    assert list_found(cells, cells.clear()) == []
    assert list_found(cells) == []
    assert list_found() == []


def test_cells_that_look_alike_in_other_places_are_not_taken_for_the_same() -> None:
    """Every cell of every field has a twin in each other one, as if a smear had but fifty cells to show."""
    rng = np.random.default_rng(4)
    twins = draw_cells(50, seed=5)
    fields = [
        photograph_again(twins).with_columns(
            pl.Series("x_px", rng.uniform(0, SIDE, 50)), pl.Series("y_px", rng.uniform(0, SIDE, 50))
        )
        for _ in range(10)
    ]
    assert list_found(*fields) == []


def test_few_cells_settle_nothing() -> None:
    cells = draw_cells(FEWEST_SHARED - 1, seed=6)
    assert list_found(cells, photograph_again(cells)) == []
    cells = draw_cells(FEWEST_SHARED + 2, seed=6)
    assert [shared for _, _, shared in list_found(cells, photograph_again(cells))] == [FEWEST_SHARED + 2]


def test_cells_that_are_not_counted_or_not_measured_do_not_enter() -> None:
    cells = draw_cells(30, seed=7)
    assert list_found(cells, cells.with_columns(counted_as=pl.lit("left_out"))) == []
    unmeasured = cells.with_columns(nucleus_mean_red=pl.lit(None, pl.Float64))
    [placed] = place(unmeasured)
    assert len(placed.places) == 0


def test_the_flag_names_each_copy_once_and_counts_what_is_too_much() -> None:
    cells = draw_cells(100, seed=8)
    tables = [cells, photograph_again(cells), photograph_again(cells, -1), draw_cells(90, seed=9)]
    flag = judge_overlap(["in/a.png", "in/a.jpg", "in/turned.png", "in/b.png"], place(*tables))
    assert flag is not None
    assert (flag.name, is_provisional([flag])) == (IMAGES_OVERLAP, True)
    assert flag.value == pytest.approx(200, abs=8)
    assert flag.text.startswith("3 of the images show the same part of the smear as another")
    assert flag.text.count(" cells)") == 2
    assert "b.png" not in flag.text
    assert judge_overlap(["a", "b"], place(cells, tables[3])) is None


def test_too_many_fields_are_not_compared_and_that_is_said() -> None:
    [placed] = place(draw_cells(5, seed=10))
    flag = judge_overlap([""] * (MOST_FIELDS + 1), [placed] * (MOST_FIELDS + 1))
    assert flag is not None
    assert (flag.name, is_provisional([flag])) == (NOT_COMPARED, False)


def test_a_hundred_fields_take_little_time() -> None:
    fields = place(*(draw_cells(150, seed) for seed in range(98)))
    one = draw_cells(150, seed=0)
    fields += place(photograph_again(one, 1j), photograph_again(one, is_mirrored=True))
    start = time.perf_counter()
    found = find_overlaps(fields)
    assert time.perf_counter() - start < 10  # a fraction of a second on a quiet machine
    assert {number for pair in found for number in (pair.first, pair.second)} == {0, 98, 99}
    assert len(found) == 2


def test_what_only_several_fields_need_is_not_loaded_for_one() -> None:
    code = (
        "import sys, numpy as np, erythron.pipeline.count, erythron.pipeline.overlap as overlap;"
        "one = overlap.PlacedCells(np.zeros(9), np.zeros((9, 7), np.float32), 1.0, 9e4);"
        "assert overlap.judge_overlap(['a.png'], [one]) is None;"
        "sys.exit('scipy.spatial' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
