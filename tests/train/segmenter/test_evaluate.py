"""Dice of cross-validated outlines and their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.train.folded_sets import read_folded
from erythron.train.segmenter.annotations import has_mask
from erythron.train.segmenter.evaluate import SCORE_SCHEMA, estimate_dice, measure_dice


def test_dice_is_twice_the_common_part_over_the_sum() -> None:
    a = np.zeros((4, 4), bool)
    a[:2] = True
    b = np.zeros((4, 4), bool)
    b[1:3] = True
    assert measure_dice(a, b) == 0.5
    assert measure_dice(a, a) == 1
    assert measure_dice(~a & a, ~a & a) == 0


def test_an_interval_of_groups_is_wider_than_one_of_images() -> None:
    level = np.repeat([0.9, 0.95, 0.99], 30)
    rows = [("s", str(i), f"g{i // 30}", value, None) for i, value in enumerate(level)]
    table = pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row")
    grouped = estimate_dice(table, 0)["s_cell_dice_mean"]
    alone = estimate_dice(table.with_columns(group=pl.col("image")), 0)["s_cell_dice_mean"]
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)
    assert grouped.value == alone.value == round(float(level.mean()), 4)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "groups"), [("bcisc", 10), ("bccd", 267)])
def test_the_clusters_of_the_intervals_are_the_groups_of_the_manifest(
    data_dir: Path, name: str, groups: int
) -> None:
    folded = read_folded(name, 5, 0, data_dir)
    assert folded.rows["group"].n_unique() == groups
    scored = has_mask(folded)
    by_path = dict(folded.rows.select("path", "group").iter_rows())
    assert scored["group"].to_list() == [by_path[path] for path in scored["path"]]
