"""Agreement and method comparison against scikit-learn, SciPy, statsmodels and published cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from erythron.compare.agreement import adjust_holm, kappa, mcnemar, resample_tables, tolerant_agreement
from erythron.compare.comparison import compare_cells, compare_shares
from erythron.compare.methods import compare_differences, fit_passing_bablok

STAGES = ("proerythroblast", "basophilic_erythroblast", "polychromatic_erythroblast")


def table_of(a: np.ndarray, b: np.ndarray, classes: int) -> np.ndarray:
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (a, b), 1)
    return table


@pytest.mark.parametrize(("power", "weights"), [(0, None), (1, "linear"), (2, "quadratic")])
def test_kappa_equals_scikit_learn(power: int, weights: str | None) -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 4, 200)
    b = np.where(rng.random(200) < 0.7, a, rng.integers(0, 4, 200))
    assert kappa(table_of(a, b, 4), power) == pytest.approx(cohen_kappa_score(a, b, weights=weights))


def test_kappa_of_one_class_alone_is_not_defined() -> None:
    assert np.isnan(kappa(np.array([[7, 0], [0, 0]]), 2))


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_refuses_what_stepping_down_refuses(p: list[float]) -> None:
    adjusted = adjust_holm(p)
    for level in (0.01, 0.05, 0.2):
        refused = set()
        for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[i] * (len(p) - rank) > level:
                break
            refused.add(i)
        assert {i for i, value in enumerate(adjusted) if value <= level} == refused


def test_cells_of_few_images_and_images_of_many_are_resampled() -> None:
    table = np.array([[30, 5], [5, 60]])
    few = resample_tables(table[None])
    assert (few.sum(axis=(1, 2)) == 100).all()
    # Ten images in which both agree wholly or not at all vary far more than their cells would.
    images = np.array([np.diag([10, 0])] * 5 + [np.array([[0, 10], [0, 0]])] * 5)
    many = tolerant_agreement(resample_tables(images), 0)
    assert many.std() == pytest.approx(np.sqrt(0.25 / 10), rel=0.1)


def test_a_comparison_by_hand() -> None:
    pairs = [("1.png", STAGES[0], STAGES[0])] * 3 + [("1.png", STAGES[0], STAGES[1])] * 2
    pairs += [("2.png", STAGES[1], STAGES[1])] * 4 + [("2.png", "granulocyte", "unclassified")]
    found = compare_cells(pairs, only_a=2, only_b=1)
    assert (found.matched, found.images, found.staged) == (10, 2, 9)
    assert found.classified == 9  # the granulocyte that B leaves unclassified is not among them
    assert found.names == (STAGES[0], STAGES[1], "granulocyte", "unclassified")
    assert found.table == ((3, 2, 0, 0), (0, 4, 0, 0), (0, 0, 0, 1), (0, 0, 0, 0))
    assert found.same_stage.value == pytest.approx(7 / 9)
    assert found.within_one_stage.value == 1.0
    assert found.same_call.value == pytest.approx(0.7)
    low, high = found.same_stage.interval or (1.0, 0.0)
    assert low < 7 / 9 < high
    assert [(d.only_a, d.only_b) for d in found.differences] == [(2, 0), (0, 2), (1, 0), (0, 1)]


def test_readers_without_a_common_stage_have_no_kappa() -> None:
    found = compare_cells([("1.png", "granulocyte", "granulocyte")] * 4, 0, 0)
    assert (found.stage_kappa.value, found.class_kappa.value, found.same_call.value) == (None, None, 1.0)


def test_bland_and_altman_by_hand() -> None:
    found = compare_differences(np.array([10.0, 20.0, 30.0]), np.array([11.0, 22.0, 33.0]))
    assert found.bias == pytest.approx(2.0)
    assert found.limits == pytest.approx((2 - 1.96, 2 + 1.96))
    # t of two degrees of freedom at .975 is 4.3027.
    assert found.bias_interval == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(-5, 5))
def test_passing_bablok_finds_a_line_despite_one_outlier(slope: float, intercept: float) -> None:
    a = np.linspace(0, 10, 30)
    b = slope * a + intercept
    b[29] += 50
    line = fit_passing_bablok(a, b)
    assert line is not None
    assert line.slope == pytest.approx(slope)
    assert line.intercept == pytest.approx(intercept, abs=1e-6)


def test_passing_bablok_turned_over_is_the_line_turned_over() -> None:
    rng = np.random.default_rng(5)
    a = rng.uniform(5, 50, 41)
    b = 1.2 * a - 2 + rng.normal(0, 1.5, 41)
    forth, back = fit_passing_bablok(a, b), fit_passing_bablok(b, a)
    assert forth is not None
    assert back is not None
    assert forth.slope * back.slope == pytest.approx(1.0, rel=1e-9)
    low, high = forth.slope_interval or (9.0, 0.0)
    assert low < 1.2 < high


def test_too_few_or_equal_specimens() -> None:
    with pytest.raises(ValueError, match="3 or more"):
        compare_differences(np.ones(2), np.ones(2))
    assert fit_passing_bablok(np.ones(4), np.ones(4)) is None


def test_shares_within_the_binomial_limits() -> None:
    a = {f"{i}.png": {"granulocyte": 5, "lymphocyte": 95} for i in range(3)} | {"only a": {"monocyte": 3}}
    b = {f"{i}.png": {"granulocyte": n, "lymphocyte": 100 - n} for i, n in enumerate((5, 11, 12))}
    found = {s.name: s for s in compare_shares(a, b)}
    assert set(found) == {"granulocyte", "lymphocyte"}
    assert (found["granulocyte"].specimens, found["granulocyte"].within_limits) == (3, 2)
    assert found["granulocyte"].bland_altman is not None
    assert found["granulocyte"].bland_altman.bias == pytest.approx(0.13 / 3)
