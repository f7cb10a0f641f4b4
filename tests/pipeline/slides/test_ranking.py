"""Areas in order of rank: fit ones sampled with the seed, looked at one by one."""

from __future__ import annotations

import numpy as np

from erythron.bundle.folder import load_bundle
from erythron.pipeline.slides.ranking import rank_places
from erythron.pipeline.slides.traits import Overview
from erythron.quality.spread import AreaFitness
from erythron.read.box import Box
from erythron.segment.blocks import make_grid

SIDE = 500
GRID = make_grid(3000, 2000, 0.25, load_bundle().card.segmenter)
TISSUE = np.ones((20, 30), np.bool_)
TISSUE[:, :5] = False
OVERVIEW = Overview(np.zeros((20, 30, 3), np.uint8), 100.0, TISSUE)


def judge_by_column(box: Box) -> AreaFitness:
    return {500: AreaFitness.UNREADABLE, 1000: AreaFitness.FEW_CELLS}.get(box.left, AreaFitness.FIT)


def test_fit_areas_come_first_and_what_cannot_be_read_does_not_come() -> None:
    ranked = list(rank_places(OVERVIEW, GRID, SIDE, 3, judge_by_column))
    assert len(ranked) == len(set(ranked)) == 16
    assert [judge_by_column(box) for box in ranked] == [AreaFitness.FIT] * 12 + [AreaFitness.FEW_CELLS] * 4


def test_the_seed_fixes_the_order_and_another_gives_another() -> None:
    one, again, other = (list(rank_places(OVERVIEW, GRID, SIDE, s, judge_by_column)) for s in (3, 3, 4))
    assert one == again
    assert one != other
    assert set(one) == set(other)


def test_areas_are_looked_at_only_when_they_are_asked_for() -> None:
    seen: list[Box] = []

    def look(box: Box) -> AreaFitness:
        seen.append(box)
        return AreaFitness.FIT

    ranked = rank_places(OVERVIEW, GRID, SIDE, 0, look)
    assert [next(ranked), next(ranked)] == seen


def test_glass_is_not_looked_at_and_unreadable_areas_come_where_there_is_nothing_else() -> None:
    ranked = list(rank_places(OVERVIEW, GRID, SIDE, 0, lambda _: AreaFitness.UNREADABLE))
    assert len(ranked) == 20
    assert all(box.left >= 500 for box in ranked)
