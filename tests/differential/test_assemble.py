"""The differential: totals, shares, indices, its JSON and the adding up of fields."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, GRANULOCYTE, LYMPHOCYTE, CellClass
from erythron.differential.assemble import (
    DifferentialSettings,
    make_differential,
    make_differential_from_counts,
    merge_differentials,
    set_references,
)
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import CellCounts, Differential, ReferenceRange
from erythron.differential.detection import Detection
from erythron.differential.intervals import clopper_pearson, goodman
from erythron.errors import DataError
from erythron.quality.flags import CellsInView, FieldQuality, LeftOutArea

NAMES = [c.name for c in DEFAULT_CLASSES]
NUCLEATED = tuple(NAMES[:-1])
SETTINGS = DifferentialSettings(DEFAULT_CLASSES)
FLAGS = ["", "unclassified", "touches_edge", "unclassified touches_edge"]
cell_lists = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(FLAGS)), max_size=60)


def make_cells(calls: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(calls, schema={"label": pl.String, "flags": pl.String}, orient="row")


def of(differential: Differential, name: str) -> int:
    return next(line.count for line in differential.classes if line.name == name)


@pytest.fixture
def field() -> Differential:
    calls = [
        *[("proerythroblast", "")] * 1,
        *[("basophilic_erythroblast", "touches_edge")] * 3,
        *[("polychromatic_erythroblast", "")] * 10,
        *[("orthochromatic_erythroblast", "")] * 26,
        *[("granulocyte", "")] * 50,
        *[("lymphocyte", "unclassified touches_edge")] * 10,
        *[("platelet", "")] * 7,
    ]
    return make_differential(make_cells(calls), SETTINGS)


def test_by_hand(field: Differential) -> None:
    assert field.nucleated_cells == 100
    assert field.erythroid_cells == 40
    assert field.touching_edge_cells == 13
    assert [line.count for line in field.classes] == [1, 3, 10, 26, 50, 0, 0, 0, 0, 7]
    poly = field.classes[2]
    assert poly.of_nucleated is not None
    assert poly.of_erythroid is not None
    assert (poly.of_nucleated.fraction, poly.of_erythroid.fraction) == (0.10, 0.25)
    assert poly.of_nucleated.interval == clopper_pearson(10, 100)
    assert poly.of_erythroid.interval == clopper_pearson(10, 40)
    assert field.erythroid_share is not None
    assert (field.erythroid_share.value, field.erythroid_share.loinc) == (40 / 90, "40689-2")
    assert field.me_ratio is not None
    assert (field.me_ratio.value, field.me_ratio.loinc) == (1.25, "11138-5")
    assert field.maturation_index is not None
    assert field.maturation_index.value == pytest.approx(4 / 36)


def test_unclassified_stands_in_the_total_and_in_no_class(field: Differential) -> None:
    assert of(field, "lymphocyte") == 0
    assert (field.unclassified.count, field.unclassified.fraction) == (10, 0.10)


def test_cells_without_a_nucleus_stand_outside_the_total(field: Differential) -> None:
    platelet = field.classes[-1]
    assert platelet.count == 7
    assert platelet.of_nucleated is None


@settings(max_examples=60, deadline=None)
@given(cell_lists)
def test_no_cell_is_dropped_and_shares_add_up(calls: list[tuple[str, str]]) -> None:
    differential = make_differential(make_cells(calls), SETTINGS)
    assert sum(line.count for line in differential.classes) + differential.unclassified.count == len(calls)
    shares = [line.of_nucleated for line in differential.classes if line.of_nucleated is not None]
    assert sum(s.count for s in shares) + differential.unclassified.count == differential.nucleated_cells
    if differential.nucleated_cells:
        fractions = [s.fraction or 0.0 for s in (*shares, differential.unclassified)]
        assert sum(fractions) == pytest.approx(1.0)
        assert all(s.interval.low <= (s.fraction or 0.0) <= s.interval.high for s in shares)


@settings(max_examples=40, deadline=None)
@given(cell_lists)
def test_json_is_strict_and_comes_back_the_same(calls: list[tuple[str, str]]) -> None:
    differential = make_differential(make_cells(calls), SETTINGS)
    text = differential.to_json()
    assert Differential.from_json(text) == differential

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(text, parse_constant=refuse)
    assert document["schema_version"] == 4
    assert {line["name"]: line["count"] for line in document["classes"]} == {
        line.name: line.count for line in differential.classes
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(cell_lists, max_size=4))
def test_fields_added_up_equal_all_cells_at_once(fields: list[list[tuple[str, str]]]) -> None:
    # But for the number of fields and what only several fields can show.
    parts = [make_differential(make_cells(calls), SETTINGS) for calls in fields]
    whole = make_differential(make_cells([call for calls in fields for call in calls]), SETTINGS)
    merged = merge_differentials(iter(parts), SETTINGS)
    assert merged.fields == len(fields)
    drift = tuple(flag for flag in merged.flags if flag.name == "drift_between_fields")
    assert merged.unclassified_as == pytest.approx(whole.unclassified_as, abs=1e-5)
    same = replace(
        merged,
        fields=1,
        flags=tuple(f for f in merged.flags if f not in drift),
        unclassified_as=whole.unclassified_as,
    )
    assert same == whole


def test_no_cell_gives_nothing_known_and_no_error() -> None:
    empty = make_differential(make_cells([]), SETTINGS)
    data = json.loads(empty.to_json())
    assert data["schema_version"] == 4
    assert data["nucleated_cells"] == 0
    assert data["classes"][0]["of_nucleated"] == {
        "count": 0,
        "total": 0,
        "fraction": None,
        "interval": [0.0, 1.0],
        "simultaneous": [0.0, 1.0],
    }
    assert data["correction"]["reason"]
    assert data["me_ratio"]["value"] is None
    assert data["me_ratio"]["interval"] is None


def test_no_erythroid_cell_leaves_the_ratio_undefined() -> None:
    differential = make_differential(make_cells([("granulocyte", "")] * 5), SETTINGS)
    assert differential.me_ratio is not None
    assert (differential.me_ratio.numerator, differential.me_ratio.value) == (5, None)


def test_a_model_without_granulocytes_has_no_me_ratio() -> None:
    stages_only = make_differential_from_counts(
        CellCounts(ERYTHROID_STAGES, (1, 2, 3, 4)), DifferentialSettings(ERYTHROID_STAGES)
    )
    assert stages_only.me_ratio is None
    assert stages_only.maturation_index is not None
    assert [index.kind for index in stages_only.indices] == ["share", "ratio", "ratio", "share"]
    no_stages = make_differential_from_counts(
        CellCounts((GRANULOCYTE, LYMPHOCYTE), (1, 2)), DifferentialSettings((GRANULOCYTE, LYMPHOCYTE))
    )
    assert no_stages.indices == ()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unclassified", [0, 40])
@pytest.mark.parametrize(
    "classes",
    [
        (replace(ERYTHROID_STAGES[0], name="erythroblast"), LYMPHOCYTE),
        (replace(ERYTHROID_STAGES[0], name="erythroblast"), GRANULOCYTE),
        (GRANULOCYTE, LYMPHOCYTE),
        ERYTHROID_STAGES,
        (ERYTHROID_STAGES[0],),
    ],
    ids=["unstaged", "with granulocytes", "not erythroid", "stages alone", "one class"],
)
def test_a_model_of_few_classes_gives_a_differential_without_a_warning(
    classes: tuple[CellClass, ...], unclassified: int
) -> None:
    names = tuple(c.name for c in classes)
    table = tuple((*(30 if i == j else 1 for j in range(len(names))), 2) for i in range(len(names)))
    confusion = ConfusionMatrix(names, names, table, has_unclassified=True)
    counts = CellCounts(classes, (20,) * len(classes), unclassified)
    made = DifferentialSettings(classes, confusion, Detection((8, 10), (9, 10), "a test"))
    found = make_differential_from_counts(counts, made)
    assert found.correction.method is not None
    shares = [line.corrected_of_nucleated for line in found.classes]
    assert sum(s.value or 0.0 for s in shares if s is not None) == pytest.approx(1.0, abs=0.01)
    assert Differential.from_json(found.to_json()) == found


def test_level_widens_the_intervals() -> None:
    counts = CellCounts(DEFAULT_CLASSES, (10,) * len(DEFAULT_CLASSES))
    narrow, wide = (
        make_differential_from_counts(counts, replace(SETTINGS, level=level)).unclassified
        for level in (0.8, 0.99)
    )
    assert wide.interval.high > narrow.interval.high


def test_different_classes_are_not_added_up() -> None:
    one = DifferentialSettings((GRANULOCYTE,))
    other = make_differential_from_counts(CellCounts((GRANULOCYTE,), (1,)), one)
    with pytest.raises(DataError, match="classes"):
        merge_differentials([other], SETTINGS)


def test_different_levels_are_not_added_up() -> None:
    one = DifferentialSettings((GRANULOCYTE,), level=0.9)
    part = make_differential_from_counts(CellCounts((GRANULOCYTE,), (1,)), one)
    with pytest.raises(DataError, match=r"level 0\.9"):
        merge_differentials([part], replace(one, level=0.95))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 1}', '{"surprise": NaN}'])
def test_what_is_no_differential_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="count the image again"):
        Differential.from_json(text)


def make_confusion(*, right: int, wrong: int = 0, unclassified: int | None = None) -> ConfusionMatrix:
    """Every class is called right ``right`` times and each other class ``wrong`` times."""
    counts = []
    for i in range(len(NUCLEATED)):
        row = [right if i == j else wrong for j in range(len(NUCLEATED))]
        counts.append(tuple(row if unclassified is None else [*row, unclassified]))
    return ConfusionMatrix(NUCLEATED, NUCLEATED, tuple(counts), unclassified is not None)


COUNTS = CellCounts(DEFAULT_CLASSES, (1, 3, 40, 60, 150, 20, 8, 4, 5, 7), unclassified=9)


def test_a_perfect_large_matrix_leaves_the_classified_shares_as_they_are() -> None:
    counts = replace(COUNTS, unclassified=0)
    found = make_differential_from_counts(counts, replace(SETTINGS, confusion=make_confusion(right=10**6)))
    for line in found.classes[:-1]:
        assert line.of_nucleated is not None
        assert line.corrected_of_nucleated is not None
        assert line.corrected_of_nucleated.value == pytest.approx(line.of_nucleated.fraction, abs=1e-3)
        low, high = line.corrected_of_nucleated.interval or (1.0, 0.0)
        exact = line.of_nucleated.interval
        assert high is not None
        assert (low, high) == pytest.approx(exact, abs=0.02)
    assert found.correction.confusion_cells == 9 * 10**6


def test_corrected_shares_add_up_to_one_and_lie_in_their_intervals() -> None:
    confusion = make_confusion(right=20, wrong=1, unclassified=2)
    found = make_differential_from_counts(COUNTS, replace(SETTINGS, confusion=confusion))
    estimates = [line.corrected_of_nucleated for line in found.classes[:-1]]
    assert sum(e.value or 0.0 for e in estimates if e) == pytest.approx(1.0, abs=1e-6)
    of_erythroid = [line.corrected_of_erythroid for line in found.classes[:4]]
    assert sum(e.value or 0.0 for e in of_erythroid if e) == pytest.approx(1.0, abs=1e-4)
    for estimate in (*estimates, *of_erythroid):
        assert estimate is not None
        assert estimate.interval is not None
        low, high = estimate.interval
        assert high is not None
        assert 0.0 <= low <= (estimate.value or 0.0) <= high <= 1.0
    assert found.classes[-1].corrected_of_nucleated is None
    assert all(index.corrected is not None for index in found.indices)


def test_same_cells_give_the_same_limits() -> None:
    settings = replace(SETTINGS, confusion=make_confusion(right=20, wrong=1, unclassified=2))
    assert make_differential_from_counts(COUNTS, settings) == make_differential_from_counts(COUNTS, settings)


def test_unclassified_cells_widen_the_interval_where_the_matrix_does_not_know_them() -> None:
    settings = replace(SETTINGS, confusion=make_confusion(right=20, wrong=1))
    widths = []
    for unclassified in (0, 30, 90):
        found = make_differential_from_counts(replace(COUNTS, unclassified=unclassified), settings)
        assert found.erythroid_share is not None
        assert found.erythroid_share.corrected is not None
        estimate = found.erythroid_share.corrected
        low, high = estimate.bound or estimate.interval or (0.0, 0.0)
        widths.append((high or 0.0) - low)
        assert found.correction.unclassified == ("dealt" if unclassified else "none")
    assert widths[0] + 0.05 < widths[1] < widths[2] - 0.05


def test_an_excess_of_unclassified_cells_is_found_said_and_bounded() -> None:
    settings = replace(SETTINGS, confusion=make_confusion(right=40, wrong=1, unclassified=2))
    usual, odd = (make_differential_from_counts(replace(COUNTS, unclassified=n), settings) for n in (12, 120))
    assert usual.correction.unexplained == 0.0
    assert 0.15 < odd.correction.unexplained < 0.29
    said = [flag.text for flag in odd.flags if flag.name == "unclassified_unexplained"]
    assert odd.erythroid_share is not None
    assert odd.erythroid_share.corrected is not None
    low, high = odd.erythroid_share.corrected.bound or (0.0, 0.0)
    assert f"between {100 * low:.1f} % and {100 * high:.1f} %" in said[0]
    assert "unclassified_unexplained" not in [flag.name for flag in usual.flags]
    assert usual.erythroid_share is not None
    assert usual.erythroid_share.corrected is not None
    assert usual.erythroid_share.corrected.bound is None


def test_the_raw_erythroid_share_leaves_unclassified_cells_on_neither_side() -> None:
    # Of all cells it was 53.2 (45.0-61.3) % on the marrow field, where the reference has 64.7.
    counts = CellCounts(DEFAULT_CLASSES, (0, 2, 14, 66, 46, 1, 0, 3, 0, 0), unclassified=22)
    share = make_differential_from_counts(counts, SETTINGS).erythroid_share
    assert share is not None
    assert (share.numerator, share.denominator) == (82, 132)
    assert share.interval is not None
    assert share.interval.low < 0.647 < share.interval.high
    assert "classified" in share.definition


def test_missed_cells_are_corrected_for_and_said() -> None:
    detection = Detection((80, 100), (100, 100), "a test")
    settings = replace(SETTINGS, confusion=make_confusion(right=50, wrong=1))
    plain, missed = (
        make_differential_from_counts(COUNTS, s) for s in (settings, replace(settings, detection=detection))
    )
    shares = []
    for found in (plain, missed):
        assert found.erythroid_share is not None
        assert found.erythroid_share.corrected is not None
        shares.append(found.erythroid_share.corrected.value or 0.0)
    assert shares[1] > shares[0] + 0.03
    assert (plain.correction.detection, missed.correction.detection) == (None, detection)
    assert Differential.from_json(missed.to_json()) == missed


def test_the_probabilities_of_unclassified_cells_are_kept_for_adding_up() -> None:
    dealt = (0.5, 0.5, 4.0, 5.0, 7.0, 2.0, 0.0, 3.0, 0.0, 0.0)
    settings = replace(SETTINGS, confusion=make_confusion(right=20, wrong=1, unclassified=2))
    counts = CellCounts(DEFAULT_CLASSES, (1, 3, 40, 60, 150, 20, 8, 4, 5, 7), 22, unclassified_as=dealt)
    part = Differential.from_json(make_differential_from_counts(counts, settings).to_json())
    assert part.unclassified_as == dealt
    merged = merge_differentials([part, part], settings)
    assert merged.unclassified_as == tuple(2 * n for n in dealt)
    assert [
        line.corrected_of_nucleated.value for line in merged.classes[:-1] if line.corrected_of_nucleated
    ] == (
        pytest.approx([c.corrected_of_nucleated.value for c in part.classes[:-1] if c.corrected_of_nucleated])
    )


def test_a_class_that_was_never_validated_stops_the_correction_and_says_so() -> None:
    whole = make_confusion(right=9)
    without = ConfusionMatrix(whole.true_classes[1:], whole.calls, whole.counts[1:], has_unclassified=False)
    found = make_differential_from_counts(COUNTS, replace(SETTINGS, confusion=without))
    assert found.correction.method is None
    assert "proerythroblast" in (found.correction.reason or "")
    assert found.erythroid_share is not None
    assert found.erythroid_share.corrected is None


def test_fields_that_differ_give_a_wider_interval_and_a_flag() -> None:
    settings = replace(SETTINGS, confusion=make_confusion(right=50, wrong=1))
    even = CellCounts(DEFAULT_CLASSES, (1, 2, 15, 22, 40, 10, 4, 3, 3, 0))
    red, white = (
        CellCounts(DEFAULT_CLASSES, counts)
        for counts in ((2, 4, 30, 44, 15, 2, 1, 1, 1, 0), (0, 0, 0, 0, 65, 18, 7, 5, 5, 0))
    )
    found = []
    for fields in ([even] * 6, [red, white] * 3):
        parts = [make_differential_from_counts(f, settings) for f in fields]
        found.append(merge_differentials(parts, settings))
    widths = []
    for merged in found:
        assert merged.erythroid_share is not None
        assert merged.erythroid_share.corrected is not None
        low, high = merged.erythroid_share.corrected.interval or (0.0, 0.0)
        widths.append((high or 0.0) - low)
    assert widths[1] > 2 * widths[0]
    assert [[f.name for f in merged.flags if f.name.startswith("drift")] for merged in reversed(found)] == [
        ["drift_between_fields"],
        [],
    ]
    assert found[0].correction.over == "fields"


def test_cells_in_areas_left_out_are_in_no_count() -> None:
    calls = [("granulocyte", ""), ("granulocyte", "left_out"), ("lymphocyte", "unclassified left_out")]
    area = LeftOutArea("out_of_focus", ((0, 0), (4, 0), (4, 4), (0, 4)), 0.2)
    found = make_differential(make_cells(calls), SETTINGS, FieldQuality(left_out=(area,)))
    assert (found.nucleated_cells, found.left_out_cells, found.unclassified.count) == (1, 2, 0)
    assert found.left_out == (area,)
    assert "area_left_out" in [flag.name for flag in found.flags]
    assert merge_differentials([found], SETTINGS) == found
    two = merge_differentials([found, found], SETTINGS)
    assert (two.left_out, two.left_out_cells, two.left_out_fraction) == ((), 4, pytest.approx(0.2))


def test_reference_ranges_stand_at_their_index_and_in_what_counting_more_gives() -> None:
    ranges = {
        "me_ratio": ReferenceRange(2.0, 4.0, "adults", "a book"),
        "plasma_cell": ReferenceRange(None, 0.02, "adults", "a book"),
    }
    found = make_differential_from_counts(COUNTS, replace(SETTINGS, references=ranges))
    assert found.me_ratio is not None
    assert found.me_ratio.reference == ranges["me_ratio"]
    asked = {(n.of, n.question, n.goal) for n in found.count_more}
    assert {("me_ratio", "reference", 2.0), ("plasma_cell", "reference", 0.02)} <= asked
    assert {(c.name, "width", 0.05) for c in ERYTHROID_STAGES} <= asked


def test_simultaneous_limits_are_goodmans_over_all_lines() -> None:
    found = make_differential_from_counts(COUNTS, SETTINGS)
    share = found.classes[2].of_nucleated
    assert share is not None
    assert share.simultaneous == goodman(40, found.nucleated_cells, 10)


def test_what_looks_like_blood_has_nucleated_red_cells_to_100_white_cells_and_no_index_of_marrow() -> None:
    cells = make_cells([("orthochromatic_erythroblast", "")] * 2 + [("granulocyte", "")] * 40)
    range_of_marrow = ReferenceRange(0.1, 4.0, "adults", "a book")
    ranges = dict.fromkeys(("me_ratio", "granulocyte"), range_of_marrow)
    wanted = DifferentialSettings(DEFAULT_CLASSES, references=ranges)
    marrow = make_differential(cells, wanted)
    assert [line.name for line in marrow.classes if line.reference] == ["granulocyte"]
    assert set_references(marrow, wanted) == marrow
    assert marrow.nucleated_red_cells is None
    found = make_differential(cells, wanted, FieldQuality(in_view=CellsInView(42, 2000.0)))
    assert found.nucleated_red_cells is not None
    assert found.nucleated_red_cells.value == pytest.approx(100 * 2 / 40)
    assert found.me_ratio is not None
    assert (found.me_ratio.value, found.me_ratio.interval, found.me_ratio.reference) == (None, None, None)
    assert [flag.name for flag in found.flags] == ["looks_like_blood"]
    assert found.looks_like_blood
    assert not any(line.reference for line in (*found.classes, *found.indices))
    assert (found.count_more, marrow.count_more[0].of) == ((), "proerythroblast")
    assert Differential.from_json(found.to_json()) == found
    assert set_references(found, wanted) == found
    assert found.in_view == CellsInView(42, 2000.0)
    both = merge_differentials([found, found, marrow], wanted)
    assert both.in_view == CellsInView(84, 4000.0)
    assert both.nucleated_red_cells is not None
    assert both.nucleated_red_cells.value == pytest.approx(100 * 6 / 120)
    dense = make_differential(cells, wanted, FieldQuality(in_view=CellsInView(42, 20.0)))
    mixed = merge_differentials([found, dense, dense], wanted)
    assert mixed.nucleated_red_cells is None
    assert "fields_like_blood" in [flag.name for flag in mixed.flags]
    assert "fields_like_blood" not in [flag.name for flag in both.flags]


@pytest.mark.parametrize("is_erythroid", [True, False])
def test_a_model_of_one_side_has_no_nucleated_red_cells_to_white_ones(is_erythroid: bool) -> None:
    classes = [c for c in DEFAULT_CLASSES if (c in ERYTHROID_STAGES) is is_erythroid]
    cells = make_cells([(classes[0].name, "")] * 3)
    found = make_differential(
        cells, DifferentialSettings(classes), FieldQuality(in_view=CellsInView(42, 2000.0))
    )
    assert found.nucleated_red_cells is None


def test_a_matrix_of_other_calls_than_the_model_has_stops_the_correction_and_says_so() -> None:
    whole = make_confusion(right=9)
    turned = ConfusionMatrix(whole.true_classes, whole.calls[::-1], whole.counts, has_unclassified=False)
    found = make_differential_from_counts(COUNTS, replace(SETTINGS, confusion=turned))
    assert found.correction.reason == "the confusion matrix has other classes than the model"
    assert (found.correction.method, found.correction.confusion_cells, found.correction.draws) == (None, 0, 0)
    assert found.erythroid_share is not None
    assert found.erythroid_share.corrected is None


def test_counts_that_are_not_given_are_none() -> None:
    counts = CellCounts(DEFAULT_CLASSES, (1,) * len(DEFAULT_CLASSES))
    assert (counts.unclassified, counts.touching_edge, counts.left_out) == (0, 0, 0)
    assert make_differential_from_counts(counts, SETTINGS).unclassified.count == 0
