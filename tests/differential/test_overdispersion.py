"""How much fields differ, and draws that allow for it."""

from __future__ import annotations

import numpy as np
import pytest

from erythron.differential.overdispersion import _weigh_fields, draw_calls, measure_overdispersion

MIX = np.array([0.05, 0.15, 0.3, 0.5])


def test_fields_of_one_mix_have_an_overdispersion_of_one() -> None:
    rng = np.random.default_rng(0)
    found = [measure_overdispersion(rng.multinomial(100, MIX, 3)).ratio for _ in range(400)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.06)


def test_clusters_of_four_cells_have_an_overdispersion_of_four() -> None:
    rng = np.random.default_rng(0)
    found = [measure_overdispersion(4 * rng.multinomial(25, MIX, 3)).ratio for _ in range(400)]
    assert np.mean(found) == pytest.approx(4.0, abs=0.25)


def test_the_degrees_of_freedom_are_those_of_the_spread_of_the_estimate() -> None:
    rng = np.random.default_rng(0)
    found = [measure_overdispersion(rng.multinomial(200, MIX, 3)) for _ in range(2000)]
    # The variance of a chi-squared over its degrees of freedom is 2 / df.
    assert 2.0 / np.var([f.ratio for f in found]) == pytest.approx(found[0].freedom, rel=0.2)


@pytest.mark.parametrize("table", [[[3, 4]], [[3, 4], [0, 0]], [[5, 0], [7, 0]]])
def test_one_field_or_one_call_says_nothing(table: list[list[int]]) -> None:
    found = measure_overdispersion(np.array(table))
    assert (found.ratio, found.freedom) == (1.0, 0.0)


@pytest.mark.parametrize("fields", [2, 4, 8, 50])
def test_weights_of_fields_give_their_part_of_the_unbiased_variance(fields: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(10, 1, (fields, 1))
    means = _weigh_fields(values, 20_000, rng)[:, 0] / fields
    part = (fields - 1) / (fields - 1 + 8)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)
    assert np.var(means) == pytest.approx(part * values.var() / (fields - 1), rel=0.05)


def test_draws_of_one_field_are_dirichlet_with_half_a_cell_more() -> None:
    counts = np.array([[0, 10, 30]])
    drawn = draw_calls(counts, np.array([[2.0, 3.0]]), 20_000, np.random.default_rng(0))
    wanted = (counts[0] + 0.5) / 41.5
    assert drawn.shares.mean(axis=0) == pytest.approx(wanted, abs=0.003)
    assert drawn.shares.var(axis=0) == pytest.approx(wanted * (1 - wanted) / 42.5, rel=0.1)
    assert (drawn.sums == [2.0, 3.0]).all()


def test_fields_without_a_cell_change_nothing() -> None:
    counts = np.array([[4, 10, 30], [6, 9, 20]])
    with_empty = np.vstack([counts, np.zeros((1, 3), dtype=np.int64)])
    one, two = (
        draw_calls(c, np.zeros((len(c), 1)), 50, np.random.default_rng(0)) for c in (counts, with_empty)
    )
    assert (one.shares == two.shares).all()


def test_what_says_nothing_has_no_freedom() -> None:
    for table in ([[3, 4]], [[3, 0], [5, 0]], [[0, 0], [3, 4]]):
        found = measure_overdispersion(np.array(table))
        assert (found.ratio, found.freedom) == (1.0, 0.0)


def test_fields_of_one_cell_count() -> None:
    counts = np.array([[0, 30], *[[1, 0]] * 30])
    drawn = draw_calls(counts, counts.astype(np.float64), 4000, np.random.default_rng(0))
    assert drawn.shares.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.12)
    assert drawn.sums.mean(axis=0) == pytest.approx([30.0, 30.0], rel=0.1)
