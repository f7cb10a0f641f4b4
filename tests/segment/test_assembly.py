"""Cells put together: pixel for pixel what one score map of the whole field gives, without holding one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from erythron.cells.outline import CellOutline, render_labels
from erythron.segment.assembly import SMALLEST_LOBE, Assembly, enlarge, find_area, tidy
from erythron.segment.nucleus_edge import follow_stain
from erythron.segment.windows import OutlinedCells

SIDE = 24


class ScoreMap:
    """The plain way: label images and a score map as large as the field."""

    def __init__(self, light: NDArray[np.uint8], mpp: float) -> None:
        self.light, self.mpp = light, mpp
        self.nucleus, self.cell = (np.zeros(light.shape[:2], np.int32) for _ in range(2))
        self.held = np.zeros(light.shape[:2], np.float16)
        self.scores: list[float] = []

    def add(self, found: OutlinedCells, scale: float, origin: tuple[int, int]) -> None:
        for corner, window, score in zip(found.corner, found.maps, found.score, strict=True):
            rows, columns = np.nonzero(window.max(axis=0) > 0.5)
            top, left, bottom, right = 0, 0, SIDE, SIDE
            if len(rows):  # two pixels more on every side
                top, left = max(0, rows.min() - 2), max(0, columns.min() - 2)
                bottom, right = rows.max() + 3, columns.max() + 3
            maps = window[:, top:bottom, left:right]
            place = ((corner[0] + top) * scale + origin[0], (corner[1] + left) * scale + origin[1])
            area = find_area(place, (maps.shape[1] * scale, maps.shape[2] * scale), self.light.shape)
            if area is None:
                continue
            nucleus, cell = (enlarge(values, place, scale, area) for values in maps)
            inner, outer = tidy(nucleus > 0.5, cell > 0.5)
            if not inner.any():
                continue
            inner = follow_stain(inner, outer, self.light[area], self.mpp)
            sure = np.where(inner, 1 + nucleus, cell).astype(np.float16)
            won = outer & (sure > self.held[area])
            if not (won & inner).any():
                continue
            self.scores.append(float(score))
            self.held[area][won] = sure[won]
            self.cell[area][won] = len(self.scores)
            self.nucleus[area][won] = np.where(inner[won], len(self.scores), 0)

    def finish(self) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_], float]]:
        """Nucleus and cell over the whole field, and score, of every cell that kept some of its nucleus."""
        masks = [(self.nucleus == i, self.cell == i, s) for i, s in enumerate(self.scores, start=1)]
        return [(nucleus, cell, score) for nucleus, cell, score in masks if nucleus.any()]


def draw_windows(rng: np.random.Generator, count: int, shape: tuple[int, int], scale: float) -> OutlinedCells:
    """Ragged cells at random places that overlap one another and the border."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    maps = np.empty((count, 2, SIDE, SIDE), np.float32)
    for window in maps:
        away = np.hypot(y - SIDE / 2 - rng.uniform(-4, 4), x - SIDE / 2 - rng.uniform(-4, 4))
        noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1.5) * rng.uniform(0, 4)
        for plane, radius in zip(window, (rng.uniform(1, 6), rng.uniform(5, 11)), strict=True):
            plane[:] = 1 / (1 + np.exp((away - radius) / rng.uniform(0.2, 2) + noise))
    reach = np.array(shape) / scale
    corner = rng.uniform(-SIDE, reach, (count, 2)).astype(np.int64)
    return OutlinedCells(corner, maps, rng.random(count).astype(np.float32))


def draw_light(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Blots of nuclear stain on pale ground, so that the edges of nuclei have something to follow."""
    stained = ndimage.gaussian_filter(rng.normal(size=shape), 3) > 0.03
    light = np.where(stained[..., None], (90, 50, 130), (225, 215, 225)) + rng.normal(0, 8, (*shape, 3))
    return np.clip(light, 0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.7, 1.0, 1.37, 2.5]))
def test_assembly_is_the_score_map_of_the_whole_field(seed: int, count: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(20, 110)), int(rng.integers(20, 110)))
    light = draw_light(rng, shape)
    assembly, plain = Assembly(light, 0.2), ScoreMap(light, 0.2)
    for origin in ((0, 0), (9, -5)):
        found = draw_windows(rng, count, shape, scale)
        assembly.add(found, scale, origin)
        plain.add(found, scale, origin)
    outlines, expected = assembly.finish(), plain.finish()
    for outline, (nucleus, cell, score) in zip(outlines, expected, strict=True):
        mine_nucleus, mine_cell = render_labels([outline], *shape)
        np.testing.assert_array_equal(mine_nucleus > 0, nucleus)
        np.testing.assert_array_equal(mine_cell > 0, cell)
        assert outline.score == score
    check_rules(outlines, shape)


def check_rules(outlines: tuple[CellOutline, ...], shape: tuple[int, int]) -> None:
    taken = np.zeros(shape, int)
    for outline in outlines:
        height, width = outline.cell.shape
        taken[outline.top : outline.top + height, outline.left : outline.left + width] += outline.cell
        assert outline.nucleus.any()
        assert not (outline.nucleus & ~outline.cell).any()
    assert taken.max(initial=0) <= 1


def test_windows_do_overlap_and_some_cells_are_lost() -> None:
    """The comparison above means something: cells lose pixels to one another, and some are lost whole."""
    rng = np.random.default_rng(0)
    light = draw_light(rng, (40, 40))
    together = Assembly(light, 0.2)
    found = draw_windows(rng, 80, (40, 40), 1.0)
    together.add(found, 1.0, (0, 0))
    alone = []
    for i in range(80):
        one = Assembly(light, 0.2)
        one.add(found.take(np.array([i])), 1.0, (0, 0))
        alone += one.finish()
    pixels = [sum(np.count_nonzero(o.cell) for o in outlines) for outlines in (together.finish(), alone)]
    assert pixels[0] < 0.7 * pixels[1]
    assert 0 < len(together.finish()) < len(alone)


def draw_discs(points: list[tuple[int, int]]) -> OutlinedCells:
    """A nucleus of 8 px and a cell of 14 px in the middle of windows of 48 px around points."""
    y, x = np.mgrid[:48, :48] + 0.5
    away = np.hypot(x - 24, y - 24)
    maps = np.stack([np.stack([away < 8, away < 14])] * len(points)).astype(np.float32)
    return OutlinedCells(np.array(points) - 24, maps, np.linspace(0.5, 1, len(points), dtype=np.float32))


def test_cells_stay_apart_and_are_cut_at_the_border() -> None:
    assembly = Assembly(np.full((240, 320, 3), 255, np.uint8), 0.2)
    assembly.add(draw_discs([(50, 50), (50, 66), (0, 0)]), 2.0, (0, 0))
    found = assembly.finish()
    check_rules(found, (240, 320))
    assert [outline.score for outline in found] == [0.5, 0.75, 1.0]
    nucleus, cell = render_labels(found, 240, 320)
    assert (nucleus[100, 100], nucleus[100, 132], cell[0, 0]) == (1, 2, 3)


@pytest.mark.parametrize("point", [(100, 140), (-40, 20), (20, -40)])
def test_a_cell_outside_the_field_is_none(point: tuple[int, int]) -> None:
    assembly = Assembly(np.full((50, 50, 3), 255, np.uint8), 0.2)
    assembly.add(draw_discs([point]), 1.0, (0, 0))
    assert assembly.finish() == ()


def test_memory_grows_with_the_cells_and_not_with_the_field() -> None:
    light = np.broadcast_to(np.uint8(255), (40_000, 40_000, 3))  # takes one byte
    tracemalloc.start()
    assembly = Assembly(light, 0.2)
    assembly.add(draw_discs([(50, 50), (20_000, 30_000), (39_990, 39_990)]), 1.0, (0, 0))
    found = assembly.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 3
    assert peak < 4 * 2**20


def test_more_cells_than_there_was_room_for_at_first() -> None:
    points = [(20 + 30 * row, 20 + 30 * column) for row in range(10) for column in range(15)]
    assembly = Assembly(np.full((320, 480, 3), 255, np.uint8), 0.2)
    assembly.add(draw_discs(points), 1.0, (0, 0))
    assert [(o.left + o.cell.shape[1] // 2, o.top + o.cell.shape[0] // 2) for o in assembly.finish()] == [
        (x, y) for y, x in points
    ]


def test_tidying_keeps_one_part_without_holes_and_no_crumb_of_a_nucleus() -> None:
    cell, nucleus = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    cell[5:35, 5:35] = cell[10:20, 45:55] = True
    cell[20, 20] = False
    nucleus[10:20, 10:20] = nucleus[12:14, 46:50] = True
    nucleus[30, 30] = True  # under a twentieth of the nucleus
    assert SMALLEST_LOBE > 1 / 101
    tidied, whole = tidy(nucleus, cell)
    expected = np.zeros_like(cell)
    expected[5:35, 5:35] = True
    np.testing.assert_array_equal(whole, expected)
    expected[:] = False
    expected[10:20, 10:20] = True
    np.testing.assert_array_equal(tidied, expected)
