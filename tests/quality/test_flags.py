"""Flags begin at their thresholds; the test for drift keeps its level."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from erythron.differential.counts import LeftOutArea
from erythron.quality.flags import THRESHOLDS, FieldQuality, judge_counts, judge_field, measure_drift


def names(flags: list) -> list[str]:
    return [flag.name for flag in flags]


def test_counts() -> None:
    limit = THRESHOLDS.fewest_cells
    assert names(judge_counts(limit - 1, 0, THRESHOLDS)) == ["too_few_cells"]
    assert names(judge_counts(limit, limit // 5, THRESHOLDS)) == []
    assert names(judge_counts(limit, limit // 5 + 1, THRESHOLDS)) == ["many_unclassified"]
    assert names(judge_counts(0, 0, THRESHOLDS)) == ["too_few_cells"]


def test_image() -> None:
    area = LeftOutArea("too_thick", ((0, 0), (1, 0), (1, 1)), 0.06)
    assert names(judge_field(FieldQuality(), THRESHOLDS)) == []
    found = judge_field(
        FieldQuality(scale_known=False, stain_distance=2.1, left_out=(area, area)), THRESHOLDS
    )
    assert names(found) == ["scale_unknown", "stain_unlike_training", "area_left_out"]
    assert found[2].value == pytest.approx(0.12)


def test_drift_of_large_counts_is_chi_squared() -> None:
    table = np.array([[300, 500, 200], [330, 480, 190]])
    assert measure_drift(table[:, :] // 4) == pytest.approx(chi2_contingency(table // 4).pvalue, abs=0.03)
    assert measure_drift(table) == pytest.approx(chi2_contingency(table).pvalue, abs=0.03)
    assert measure_drift(table * 3) == pytest.approx(chi2_contingency(table * 3).pvalue, rel=1e-9)


def test_drift_raises_no_more_false_alarms_than_stated_with_few_cells_and_many_fields() -> None:
    rng = np.random.default_rng(2)
    mix = [0.01, 0.02, 0.2, 0.3, 0.4, 0.07]
    alarms = [(measure_drift(rng.multinomial(12, mix, 8)) or 0.0) < 0.1 for _ in range(60)]
    # Binomial with 60 and .1: more than 13 has a probability under .005.
    assert sum(alarms) <= 13


def test_drift_needs_two_fields_and_two_classes() -> None:
    assert measure_drift(np.array([[3, 4]])) is None
    assert measure_drift(np.array([[3, 0], [4, 0]])) is None
    assert measure_drift(np.array([[3, 1], [0, 0]])) is None


def test_opposite_fields_drift() -> None:
    drift = measure_drift(np.array([[40, 0], [0, 40]]))
    assert drift is not None
    assert drift < 0.001


def test_memory_of_drift_does_not_grow_with_the_fields() -> None:
    rng = np.random.default_rng(0)
    table = rng.multinomial(1, np.full(11, 1 / 11), 1900)
    tracemalloc.start()
    drift = measure_drift(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drift is not None
    assert drift > 0.01
    assert peak < 100 * 2**20
