"""Flags of counts begin at their thresholds; the test for drift keeps its level."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.differential.counts import CellCounts, Correction, Estimate
from erythron.differential.judge import judge_correction, judge_counts, judge_fields, measure_drift
from erythron.quality.flags import THRESHOLDS, FieldQuality, LeftOutArea, QualityFlag, judge_field


def names(flags: Sequence[QualityFlag]) -> list[str]:
    return [flag.name for flag in flags]


def test_counts() -> None:
    limit = THRESHOLDS.fewest_cells
    assert names(judge_counts(limit - 1, 0, THRESHOLDS)) == ["too_few_cells"]
    assert names(judge_counts(limit, limit // 5, THRESHOLDS)) == []
    assert names(judge_counts(limit, limit // 5 + 1, THRESHOLDS)) == ["many_unclassified"]
    [none] = judge_counts(0, 0, THRESHOLDS)
    assert none.name == "too_few_cells"
    assert none.text.startswith("nothing was counted")  # and no interval is wide


def test_of_blood_no_number_of_cells_of_marrow_is_asked() -> None:
    assert judge_counts(6, 0, THRESHOLDS, is_marrow=False) == []
    assert judge_counts(1, 0, THRESHOLDS, is_marrow=False) == []
    [none] = judge_counts(0, 0, THRESHOLDS, is_marrow=False)
    assert none.text == "nothing was counted: count other fields"


def test_unexplained_cells_raise_a_flag_with_their_share() -> None:
    assert judge_correction(Correction(None, "no matrix"), None) == []
    (flag,) = judge_correction(
        Correction("maximum likelihood", None, unexplained=0.25), Estimate(0.5, (0.4, 0.6), (0.3, 0.7))
    )
    assert (flag.name, flag.value) == ("unclassified_unexplained", 0.25)
    assert flag.text.startswith("25 % of the cells are unclassified in excess of what is usual for the model")
    assert flag.text.endswith("would lie between 30.0 % and 70.0 %")


def test_flags_of_fields_are_told_once_with_their_number_and_the_worst() -> None:
    fields = [CellCounts(DEFAULT_CLASSES, (5,) * len(DEFAULT_CLASSES))] * 3
    of_fields = [
        judge_field(quality, THRESHOLDS)
        for quality in (
            FieldQuality(stain_distance=3.0),
            FieldQuality(scale_known=False, stain_distance=2.5),
            FieldQuality(),
        )
    ]
    found = judge_fields(fields, of_fields, THRESHOLDS.most_left_out, THRESHOLDS)
    assert names(found) == ["scale_unknown", "stain_unlike_training"]
    assert found[0].text.startswith("in 1 of 3 fields: ")
    assert found[1].text.startswith("in 2 of 3 fields: ")
    assert (found[1].value, found[1].threshold) == (3.0, THRESHOLDS.stain_distance)
    more = judge_fields(fields, of_fields, 1.1 * THRESHOLDS.most_left_out, THRESHOLDS)
    assert names(more) == [*names(found), "area_left_out"]


def test_a_field_of_which_a_part_shows_no_image_is_said_of_several_fields() -> None:
    blank = LeftOutArea("no_image", ((0, 0), (1, 0), (1, 1)), 0.5)
    of_fields = [judge_field(q, THRESHOLDS) for q in (FieldQuality(left_out=(blank,)), FieldQuality())]
    counts = [CellCounts(DEFAULT_CLASSES, (0,) * len(DEFAULT_CLASSES))] * 2
    [flag] = judge_fields(counts, of_fields, 0.0, THRESHOLDS)
    assert (flag.name, flag.value) == ("area_without_image", 0.5)
    assert flag.text.startswith("in 1 of 2 fields: 50 % of the picture")


def test_fields_of_another_mix_are_flagged_and_fields_alike_are_not() -> None:
    def count(*numbers: int) -> CellCounts:
        return CellCounts(DEFAULT_CLASSES, (*numbers, *[0] * (len(DEFAULT_CLASSES) - len(numbers))))

    assert judge_fields([count(20, 20), count(21, 19)], [[], []], 0.0, THRESHOLDS) == []
    (flag,) = judge_fields([count(40, 0), count(0, 40)], [[], []], 0.0, THRESHOLDS)
    assert (flag.name, flag.threshold) == ("drift_between_fields", THRESHOLDS.drift_p)
    assert "p below 0.001" in flag.text


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


def test_the_worst_field_is_told_of_wherever_it_stands() -> None:
    fields = [CellCounts(DEFAULT_CLASSES, (5,) * len(DEFAULT_CLASSES))] * 3
    distances = (2.5, 3.5, 3.0)
    of_fields = [judge_field(FieldQuality(stain_distance=d), THRESHOLDS) for d in distances]
    (found,) = judge_fields(fields, of_fields, 0.0, THRESHOLDS)
    assert found.value == 3.5
    assert found.text == f"in 3 of 3 fields: {of_fields[1][0].text}"
