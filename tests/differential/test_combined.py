"""The combined interval: a small seeded simulation; ``benchmarks/intervals.py`` is the large one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from erythron.differential.combined import (
    Calls,
    Contrast,
    _field_shape,
    estimate_contrasts,
    shortest_interval,
)
from erythron.differential.correction import ConfusionMatrix

NAMES = ("proerythroblast", "basophilic", "polychromatic", "orthochromatic", "other")
RATES = np.array(
    [
        [0.62, 0.14, 0.02, 0.01, 0.09, 0.12],
        [0.08, 0.60, 0.10, 0.01, 0.09, 0.12],
        [0.01, 0.03, 0.78, 0.07, 0.05, 0.06],
        [0.005, 0.005, 0.06, 0.86, 0.04, 0.03],
        [0.01, 0.01, 0.01, 0.01, 0.90, 0.06],
    ]
)
SIZES = (8, 10, 54, 54, 278)
MIXES = {
    "steep": np.array([0.002, 0.005, 0.12, 0.173, 0.7]),
    "flat": np.array([0.075, 0.075, 0.075, 0.075, 0.7]),
    "absent": np.array([0.003, 0.0, 0.09, 0.207, 0.7]),
}
SPECIMENS = 100
CELLS = 400
CONTRASTS = [Contrast((n,), tuple(m for m in NAMES if m != n), "share") for n in NAMES]
CONTRASTS.append(Contrast(NAMES[:4], NAMES[4:], "share"))
CONTRASTS.append(Contrast(NAMES[4:], NAMES[:4], "ratio"))


def draw_confusion(rng: np.random.Generator) -> ConfusionMatrix:
    rows = [rng.multinomial(n, row) for n, row in zip(SIZES, RATES, strict=True)]
    return ConfusionMatrix(NAMES, NAMES, tuple(tuple(map(int, row)) for row in rows), has_unclassified=True)


@pytest.mark.parametrize("mix", MIXES)
def test_covers_as_often_as_stated_and_takes_most_of_the_bias(mix: str) -> None:
    truth = MIXES[mix]
    rng = np.random.default_rng(7)
    covered = np.zeros(len(CONTRASTS))
    raw = np.zeros(len(NAMES))
    corrected = np.zeros(len(NAMES))
    true_values = [*truth, truth[:4].sum(), truth[4] / truth[:4].sum()]
    for _ in range(SPECIMENS):
        calls = rng.multinomial(CELLS, truth @ RATES)
        found = estimate_contrasts(Calls(calls[None, :-1], calls[-1:]), draw_confusion(rng), CONTRASTS, 0.95)
        for k, (estimate, value) in enumerate(zip(found.estimates, true_values, strict=True)):
            low, high = estimate.interval or (1.0, 0.0)
            covered[k] += low <= value and (high is None or value <= high)
        raw += calls[:-1] / calls[:-1].sum()
        corrected += [e.value or 0.0 for e in found.estimates[: len(NAMES)]]
    coverage = covered / SPECIMENS
    # 700 intervals a mix; in one specimen they hang together, so 2.5 points are about three standard errors.
    assert 0.925 <= coverage.mean() <= 0.985
    assert coverage.min() >= 0.88
    raw_bias, corrected_bias = (np.abs(x / SPECIMENS - truth).sum() for x in (raw, corrected))
    assert corrected_bias < raw_bias / 2


def test_an_absent_class_has_a_one_sided_interval() -> None:
    rng = np.random.default_rng(3)
    calls = np.array([[0, 0, 80, 120, 180]])
    found = estimate_contrasts(Calls(calls, np.array([20])), draw_confusion(rng), CONTRASTS, 0.95)
    low, high = found.estimates[0].interval or (1.0, None)
    assert low == 0.0
    assert high is not None
    assert 0.001 < high < 0.1


def test_no_call_does_not_mean_no_cell() -> None:
    # In the matrix every ninth other cell was called proerythroblast, and of 200 here none.
    rows = [[8, 1, 0, 0, 0, 0], [0, 9, 1, 0, 0, 0], [0, 0, 54, 0, 0, 0], [0, 0, 0, 54, 0, 0]]
    table = tuple(map(tuple, [*rows, [30, 0, 0, 0, 240, 8]]))
    confusion = ConfusionMatrix(NAMES, NAMES, table, has_unclassified=True)
    calls = Calls(np.array([[0, 5, 80, 115, 196]]), np.array([4]))
    found = estimate_contrasts(calls, confusion, CONTRASTS, 0.95).estimates
    low, high = found[0].interval or (1.0, None)
    assert low == 0.0
    # Of 396 cells 0.85 % are called so at 8 of 9 right, and go without a call in one specimen of 20.
    assert high is not None
    assert 0.0080 < high < 0.0120


def test_ratio_and_share_of_one_question_agree() -> None:
    calls = Calls(np.array([[4, 8, 60, 90, 200]]), np.array([15]))
    confusion = draw_confusion(np.random.default_rng(3))
    share, ratio = estimate_contrasts(
        calls, confusion, [Contrast(NAMES[4:], NAMES[:4], kind) for kind in ("share", "ratio")], 0.95
    ).estimates
    assert share.interval is not None
    assert ratio.interval is not None
    for of_share, of_ratio in zip(
        (share.value, *share.interval), (ratio.value, *ratio.interval), strict=True
    ):
        assert of_share is not None
        assert of_ratio == pytest.approx(of_share / (1.0 - of_share))


def test_a_smaller_matrix_and_fewer_cells_each_widen_the_interval() -> None:
    row = np.eye(5, 6) * 18 + 1

    def width(cells: int, size: int) -> float:
        table = tuple(tuple(int(v) * size for v in r) for r in row)
        calls = Calls(np.array([[cells] * 5]), np.array([cells // 8]))
        confusion = ConfusionMatrix(NAMES, NAMES, table, has_unclassified=True)
        low, high = estimate_contrasts(calls, confusion, CONTRASTS[5:6], 0.95).estimates[0].interval or (0, 0)
        return float((high or 0) - low)

    assert width(80, 100) < width(80, 1)
    assert width(80, 100) < width(16, 100)


def test_shortest_interval_holds_the_stated_share() -> None:
    draws = np.random.default_rng(0).exponential(size=4000)
    low, high = shortest_interval(draws, 0.9)
    assert ((draws >= low) & (draws <= high)).mean() >= 0.9
    assert low < 0.02
    assert high == pytest.approx(-np.log(0.1), abs=0.15)


def test_memory_of_the_interval_does_not_grow_with_the_fields() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(20, MIXES["flat"] @ RATES, 20_000)
    tracemalloc.start()
    found = estimate_contrasts(Calls(counts[:, :5], counts[:, 5]), draw_confusion(rng), CONTRASTS, 0.95)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    share = found.estimates[5]
    assert share.value == pytest.approx(0.3, abs=0.05)
    assert peak < 50 * 2**20


@pytest.mark.parametrize("fields", [4, 8, 50])
def test_a_mean_over_few_fields_has_its_unbiased_variance(fields: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, fields)
    weights = rng.dirichlet(np.full(fields, _field_shape(fields)), 20_000)
    assert np.var(weights @ values) == pytest.approx(values.var() / (fields - 1), rel=0.05)
