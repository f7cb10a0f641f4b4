"""The differential: totals, shares, indices, its JSON and the adding up of fields."""

from __future__ import annotations

import json

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erythron.differential.counts import (
    CellCounts,
    Differential,
    count_cells,
    differential_schema,
    make_differential,
    make_differential_from_counts,
    merge_differentials,
)
from erythron.differential.intervals import clopper_pearson
from erythron.errors import DataError
from erythron.stages import DEFAULT_CLASSES, ERYTHROID_STAGES, GRANULOCYTE, LYMPHOCYTE

NAMES = [c.name for c in DEFAULT_CLASSES]
FLAGS = ["", "unclassified", "touches_edge", "unclassified;touches_edge"]
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
        *[("lymphocyte", "unclassified;touches_edge")] * 10,
        *[("platelet", "")] * 7,
    ]
    return make_differential(make_cells(calls), DEFAULT_CLASSES)


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
    assert (field.erythroid_share.value, field.erythroid_share.loinc) == (0.40, "40689-2")
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
    differential = make_differential(make_cells(calls), DEFAULT_CLASSES)
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
    differential = make_differential(make_cells(calls), DEFAULT_CLASSES)
    text = differential.to_json()
    assert Differential.from_json(text) == differential

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    jsonschema.validate(json.loads(text, parse_constant=refuse), differential_schema())


@settings(max_examples=30, deadline=None)
@given(st.lists(cell_lists, max_size=4))
def test_fields_added_up_equal_all_cells_at_once(fields: list[list[tuple[str, str]]]) -> None:
    parts = [make_differential(make_cells(calls), DEFAULT_CLASSES) for calls in fields]
    whole = make_differential(make_cells([call for calls in fields for call in calls]), DEFAULT_CLASSES)
    assert merge_differentials(iter(parts), DEFAULT_CLASSES) == whole


def test_no_cell_gives_nothing_known_and_no_error() -> None:
    empty = make_differential(make_cells([]), DEFAULT_CLASSES)
    data = json.loads(empty.to_json())
    assert data["schema_version"] == 1
    assert data["nucleated_cells"] == 0
    assert data["classes"][0]["of_nucleated"] == {
        "count": 0,
        "total": 0,
        "fraction": None,
        "interval": [0.0, 1.0],
    }
    assert data["me_ratio"]["value"] is None
    assert data["me_ratio"]["interval"] is None


def test_no_erythroid_cell_leaves_the_ratio_undefined() -> None:
    differential = make_differential(make_cells([("granulocyte", "")] * 5), DEFAULT_CLASSES)
    assert differential.me_ratio is not None
    assert (differential.me_ratio.numerator, differential.me_ratio.value) == (5, None)


def test_a_model_without_granulocytes_has_no_me_ratio() -> None:
    stages_only = make_differential_from_counts(CellCounts(ERYTHROID_STAGES, (1, 2, 3, 4)))
    assert stages_only.me_ratio is None
    assert stages_only.maturation_index is not None
    assert [index.kind for index in stages_only.indices] == ["share", "ratio"]
    no_stages = make_differential_from_counts(CellCounts((GRANULOCYTE, LYMPHOCYTE), (1, 2)))
    assert no_stages.indices == ()


def test_level_widens_the_intervals() -> None:
    counts = CellCounts(DEFAULT_CLASSES, (10,) * len(DEFAULT_CLASSES))
    narrow, wide = (make_differential_from_counts(counts, level).unclassified for level in (0.8, 0.99))
    assert wide.interval.high > narrow.interval.high


def test_unknown_label_is_named() -> None:
    with pytest.raises(DataError, match="megakaryocyte"):
        count_cells(make_cells([("megakaryocyte", "")]), DEFAULT_CLASSES)


def test_null_flags_are_no_flags() -> None:
    cells = pl.DataFrame({"label": ["granulocyte"], "flags": [None]})
    assert count_cells(cells, DEFAULT_CLASSES).unclassified == 0


def test_different_classes_are_not_added_up() -> None:
    other = make_differential_from_counts(CellCounts((GRANULOCYTE,), (1,)))
    with pytest.raises(DataError, match="classes"):
        merge_differentials([other], DEFAULT_CLASSES)


def test_different_levels_are_not_added_up() -> None:
    counts = CellCounts((GRANULOCYTE,), (1,))
    parts = [make_differential_from_counts(counts, level) for level in (0.9, 0.95)]
    with pytest.raises(DataError, match=r"0\.9, 0\.95"):
        merge_differentials(parts, (GRANULOCYTE,))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 2}', '{"surprise": NaN}'])
def test_what_is_no_differential_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="count the image again"):
        Differential.from_json(text)
