"""The combined interval: a small seeded simulation; ``benchmarks/intervals.py`` is the large one."""

from __future__ import annotations

import tracemalloc
from typing import Literal

import numpy as np
import pytest
from scipy.stats import beta

from erythron.cells.classes import Lineage
from erythron.differential.calls import Calls, Contrast, Corrected, Knowledge
from erythron.differential.combined import estimate_contrasts
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import Estimate
from erythron.differential.detection import Detection

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
SPECIMENS = 40
CELLS = 400
CONTRASTS = [Contrast((n,), tuple(m for m in NAMES if m != n), "share") for n in NAMES]
CONTRASTS.append(Contrast(NAMES[:4], NAMES[4:], "share"))
CONTRASTS.append(Contrast(NAMES[4:], NAMES[:4], "ratio"))


LINEAGES = (*[Lineage.ERYTHROID] * 4, Lineage.OTHER)


def estimate(
    calls: list[list[int]],
    confusion: ConfusionMatrix,
    contrasts: list[Contrast] = CONTRASTS,
    dealt: list[float] | None = None,
    detection: Detection | None = None,
) -> Corrected:
    """Each row of calls is a field, its last number the unclassified cells, dealt out evenly if not told."""
    table = np.array(calls)
    weights = np.array(dealt or [1.0] * len(confusion.true_classes))
    as_class = np.outer(table[:, -1], weights / weights.sum())
    known = Knowledge(confusion, LINEAGES[: len(confusion.true_classes)], detection)
    return estimate_contrasts(Calls(table[:, :-1], table[:, -1], as_class), known, contrasts, 0.95)


def limits(found: Corrected, k: int) -> tuple[float, float]:
    low, high = found.estimates[k].interval or (1.0, None)
    assert high is not None
    return low, high


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
        left = truth * RATES[:, -1]
        found = estimate([calls.tolist()], draw_confusion(rng), dealt=left.tolist())
        for k, (value, answer) in enumerate(zip(true_values, found.estimates, strict=True)):
            low, high = answer.interval or (1.0, 0.0)
            covered[k] += low <= value and (high is None or value <= high)
        raw += calls[:-1] / calls[:-1].sum()
        corrected += [e.value or 0.0 for e in found.estimates[: len(NAMES)]]
    coverage = covered / SPECIMENS
    # 280 intervals a mix; in one specimen they hang together, so 3 points are above two standard errors.
    assert 0.92 <= coverage.mean() <= 0.985
    assert coverage.min() >= 0.87
    raw_bias, corrected_bias = (np.abs(x / SPECIMENS - truth).sum() for x in (raw, corrected))
    # 40 specimens leave about .01 of chance; of 150, .012, .004 and .013 of .042, .039 and .052 are left.
    assert corrected_bias < 0.65 * raw_bias


@pytest.mark.parametrize(("fields", "spread"), [(2, 0.0), (2, 0.5), (4, 0.5)])
def test_covers_with_few_fields_at_a_width_that_says_something(fields: int, spread: float) -> None:
    # Weights of fields of a shape of .05 gave two fields an erythroid share of 3.3 to 83.3 %.
    rng = np.random.default_rng(5)
    truth = MIXES["flat"]
    covered = np.zeros(len(CONTRASTS[:6]))
    widths = []
    for _ in range(SPECIMENS):
        mixes = truth * np.exp(spread * rng.standard_normal((fields, len(truth))))
        mixes /= mixes.sum(axis=1, keepdims=True)
        calls = [rng.multinomial(CELLS // fields, mix @ RATES).tolist() for mix in mixes]
        found = estimate(calls, draw_confusion(rng), CONTRASTS[:6], dealt=(truth * RATES[:, -1]).tolist())
        for k, value in enumerate([*truth, truth[:4].sum()]):
            low, high = limits(found, k)
            covered[k] += low <= value <= high
        low, high = limits(found, 5)
        widths.append(high - low)
    assert 0.90 <= (covered / SPECIMENS).mean() <= 0.99
    assert np.mean(widths) < (0.20 if spread == 0.0 else 0.35)


def test_the_estimate_does_not_depend_on_how_the_same_cells_lie_in_fields() -> None:
    confusion = draw_confusion(np.random.default_rng(3))
    whole = [3, 9, 60, 90, 200, 18]
    first = [3, 0, 50, 20, 40, 2]
    parts = [first, [a - b for a, b in zip(whole, first, strict=True)]]
    one, two = (estimate(calls, confusion).estimates for calls in ([whole], parts))
    assert [e.value for e in two] == pytest.approx([e.value for e in one])


def test_fields_alike_widen_the_interval_little_and_fields_that_differ_much() -> None:
    confusion = draw_confusion(np.random.default_rng(3))
    half = [2, 4, 30, 45, 100, 9]
    red, white = [3, 7, 52, 78, 34, 16], [1, 1, 8, 12, 166, 2]
    one, alike, differ = (
        estimate(calls, confusion) for calls in ([[2 * n for n in half]], [half, half], [red, white])
    )
    widths = [high - low for low, high in (limits(found, 5) for found in (one, alike, differ))]
    assert widths[1] < 1.3 * widths[0]
    assert widths[2] > 2.5 * widths[0]
    assert one.overdispersion == 1.0
    assert alike.overdispersion == pytest.approx(0.0, abs=0.05)
    assert differ.overdispersion > 20


def test_unclassified_cells_are_dealt_by_their_probabilities() -> None:
    # An excess given to each class in turn left a class that no cell was called 0.0 to 15.5 %.
    confusion = draw_confusion(np.random.default_rng(3))
    found = estimate([[0, 2, 14, 66, 50, 22]], confusion, dealt=[0.1, 0.5, 4.2, 4.9, 12.3])
    assert limits(found, 0)[1] < 0.05
    red, white = (
        estimate([[0, 2, 14, 66, 50, 22]], confusion, dealt=dealt)
        for dealt in ([0.0, 0.0, 11.0, 11.0, 0.0], [0.0, 0.0, 0.0, 0.0, 22.0])
    )
    values = [found.estimates[5].value or 0.0 for found in (red, white)]
    # One account deals all 22 by their probabilities; in the other the rates explain some of them.
    assert 0.75 * 22 / 154 < values[0] - values[1] < 22 / 154


def test_probabilities_of_unclassified_cells_are_worth_as_many_cells_as_tested_them() -> None:
    """Four times as many cells in the cross-validation, at the same rates, narrow what is not classified."""
    rows = np.rint(np.array(SIZES)[:, None] * RATES).astype(int)
    few, many = (
        ConfusionMatrix(NAMES, NAMES, tuple(map(tuple, (times * rows).tolist())), has_unclassified=True)
        for times in (1, 4)
    )
    assert sum(row[-1] for row in few.counts) == 24
    calls = [[4, 4, 4, 4, 4, 380]]
    widths = [high - low for low, high in (limits(estimate(calls, m), 0) for m in (few, many))]
    # A fifth of 6 and of 24 cells, a quarter of those tested, for most of these cells are an excess.
    assert widths[1] / widths[0] == pytest.approx((7 / 25) ** 0.5, abs=0.1)
    untold = ConfusionMatrix(NAMES, NAMES, tuple(row[:-1] for row in few.counts), has_unclassified=False)
    low, high = limits(estimate(calls, untold), 0)
    assert high - low == pytest.approx(widths[0] * (7 / 11) ** 0.5, rel=0.15)  # 10 cells where none is told


@pytest.mark.parametrize("kind", ["share", "ratio"])
def test_of_two_classes_that_no_cell_can_be_of_nothing_is_said(kind: Literal["share", "ratio"]) -> None:
    rows = tuple(tuple(90 * (j == k) for j in range(5)) for k in range(5))
    untold = ConfusionMatrix(NAMES, NAMES, rows, has_unclassified=False)
    contrast = Contrast(NAMES[:1], NAMES[1:2], kind)
    found = estimate([[0, 0, 60, 90, 200, 60]], untold, [contrast], [0.0, 0.0, 1.0, 1.0, 1.0])
    assert found.estimates == (Estimate(None, None),)


def test_an_excess_is_one_where_the_lower_limit_of_what_is_unclassified_is_over_what_is_expected() -> None:
    # Rates are known all but exactly: 5 % are left unclassified, and 1 % more is no excess.
    confusion = ConfusionMatrix(
        NAMES[:2], NAMES[:2], ((95_000, 0, 5_000), (0, 95_000, 5_000)), has_unclassified=True
    )
    contrast = [Contrast(NAMES[:1], NAMES[1:2], "share")]

    def has_bound(left: int) -> bool:
        of_class = (CELLS - left) // 2
        found = estimate([[of_class, CELLS - left - of_class, left]], confusion, contrast, [1.0, 1.0])
        return found.estimates[0].bound is not None

    expected = next(n for n in range(CELLS) if beta.ppf(0.025, n + 0.5, CELLS - n + 1.0) > 0.06)
    flagged = [has_bound(left) for left in range(expected - 5, expected + 3)]
    assert flagged[:4] == [False] * 4
    assert flagged[-1]


def test_an_excess_of_unclassified_cells_has_a_bound_beside_the_interval() -> None:
    confusion = draw_confusion(np.random.default_rng(3))
    usual, odd = (estimate([[3, 9, 60, 90, 200, n]], confusion) for n in (20, 160))
    assert usual.unexplained == 0.0
    assert all(e.bound is None for e in usual.estimates)
    assert 0.2 < odd.unexplained < 160 / 522
    for answer in odd.estimates[:6]:
        assert answer.interval is not None
        assert answer.bound is not None
        (low, high), (least, most) = answer.interval, answer.bound
        assert high is not None
        assert most is not None
        assert least <= low <= high <= most
    least, most = odd.estimates[5].bound or (0.0, 0.0)
    assert (most or 0.0) - least > odd.unexplained


def test_without_a_column_of_unclassified_cells_all_of_them_are_bounded() -> None:
    known = draw_confusion(np.random.default_rng(3))
    table = tuple(row[:-1] for row in known.counts)
    confusion = ConfusionMatrix(NAMES, NAMES, table, has_unclassified=False)
    some, none = (estimate([[3, 9, 60, 90, 200, n]], confusion) for n in (60, 0))
    assert some.unexplained == 0.0
    least, most = some.estimates[5].bound or (0.0, 0.0)
    assert (most or 0.0) - least > 60 / 422
    assert none.estimates[5].bound is None


def test_a_lineage_that_is_missed_more_often_is_corrected_upwards() -> None:
    confusion = draw_confusion(np.random.default_rng(3))
    calls = [[3, 9, 60, 90, 200, 18]]
    plain = estimate(calls, confusion)
    missed, unsure = (
        estimate(calls, confusion, detection=Detection((8 * n, 10 * n), (10 * n, 10 * n), "a test"))
        for n in (1000, 1)
    )
    odds = [(found.estimates[5].value or 0.0) for found in (plain, missed)]
    ratio = (odds[1] / (1 - odds[1])) / (odds[0] / (1 - odds[0]))
    assert ratio == pytest.approx(1 / 0.8, abs=0.001)
    widths = [high - low for low, high in (limits(found, 5) for found in (missed, unsure))]
    assert widths[1] > 1.2 * widths[0]


def test_an_absent_class_has_a_one_sided_interval() -> None:
    found = estimate(
        [[0, 0, 80, 120, 180, 20]],
        draw_confusion(np.random.default_rng(3)),
        dealt=[0.2, 0.1, 9.0, 8.0, 2.7],
    )
    low, high = limits(found, 0)
    assert low == 0.0
    assert 0.001 < high < 0.1


def test_no_call_does_not_mean_no_cell() -> None:
    # In the matrix every ninth other cell was called proerythroblast, and of 200 here none.
    rows = [[8, 1, 0, 0, 0, 0], [0, 9, 1, 0, 0, 0], [0, 0, 54, 0, 0, 0], [0, 0, 0, 54, 0, 0]]
    table = tuple(map(tuple, [*rows, [30, 0, 0, 0, 240, 8]]))
    confusion = ConfusionMatrix(NAMES, NAMES, table, has_unclassified=True)
    low, high = limits(estimate([[0, 5, 80, 115, 196, 4]], confusion, dealt=[0, 0, 1, 1, 1]), 0)
    assert low == 0.0
    # Of 396 cells 0.85 % are called so at 8 of 9 right, and go without a call in one specimen of 20.
    assert 0.0080 < high < 0.0120


def test_ratio_and_share_of_one_question_agree() -> None:
    share, ratio = estimate(
        [[4, 8, 60, 90, 200, 120]],
        draw_confusion(np.random.default_rng(3)),
        [Contrast(NAMES[4:], NAMES[:4], kind) for kind in ("share", "ratio")],
    ).estimates
    for of_share, of_ratio in zip(
        (share.value, *(share.interval or ()), *(share.bound or ())),
        (ratio.value, *(ratio.interval or ()), *(ratio.bound or ())),
        strict=True,
    ):
        assert of_share is not None
        assert of_ratio == pytest.approx(of_share / (1.0 - of_share))
    assert share.bound is not None


def test_a_smaller_matrix_and_fewer_cells_each_widen_the_interval() -> None:
    row = np.eye(5, 6) * 18 + 1

    def width(cells: int, size: int) -> float:
        table = tuple(tuple(int(v) * size for v in r) for r in row)
        confusion = ConfusionMatrix(NAMES, NAMES, table, has_unclassified=True)
        low, high = limits(estimate([[*[cells] * 5, cells // 8]], confusion), 5)
        return high - low

    assert width(80, 100) < width(80, 1)
    assert width(80, 100) < width(16, 100)


@pytest.mark.parametrize("calls", [[[0, 0, 0, 0, 0, 9]], [[0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, 4]]])
def test_a_specimen_without_a_classified_cell_has_wide_limits_and_no_error(calls: list[list[int]]) -> None:
    found = estimate(calls, draw_confusion(np.random.default_rng(3)))
    low, high = limits(found, 5)
    assert high - low > 0.3


def test_memory_of_the_interval_does_not_grow_with_the_fields() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(20, MIXES["flat"] @ RATES, 20_000)
    dealt = counts[:, 5:] * (MIXES["flat"] * RATES[:, 5] / (MIXES["flat"] @ RATES[:, 5]))
    confusion = draw_confusion(rng)
    tracemalloc.start()
    calls = Calls(counts[:, :5], counts[:, 5], dealt)
    found = estimate_contrasts(calls, Knowledge(confusion, LINEAGES), CONTRASTS, 0.95)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    share = found.estimates[5]
    assert share.value == pytest.approx(0.3, abs=0.05)
    assert peak < 50 * 2**20


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unclassified", [0, 30])
def test_a_model_without_a_class_of_one_side_has_certain_answers_and_no_warning(unclassified: int) -> None:
    # A user's bundle that does not stage: the share of its erythroblasts among its erythroblasts.
    names = ("erythroblast", "other")
    confusion = ConfusionMatrix(names, names, ((40, 2, 3), (1, 50, 2)), has_unclassified=True)
    known = Knowledge(confusion, (Lineage.ERYTHROID, Lineage.OTHER))
    dealt = np.array([[0.5 * unclassified, 0.5 * unclassified]])
    calls = Calls(np.array([[30, 70]]), np.array([unclassified]), dealt)
    asked = [
        Contrast(("erythroblast",), (), "share"),
        Contrast((), ("other",), "share"),
        Contrast(("erythroblast",), (), "ratio"),
        Contrast((), ("other",), "ratio"),
        Contrast((), (), "share"),
        Contrast(("erythroblast",), ("other",), "share"),
    ]
    whole, nothing, no_ratio, zero, unasked, share = estimate_contrasts(calls, known, asked, 0.95).estimates
    assert (whole.value, whole.interval) == (1.0, (1.0, 1.0))
    assert (nothing.value, nothing.interval) == (0.0, (0.0, 0.0))
    assert (no_ratio.value, no_ratio.interval) == (None, None)
    assert (zero.value, zero.interval) == (0.0, (0.0, 0.0))
    assert (unasked.value, unasked.interval) == (None, None)
    assert share.value is not None
    assert share.interval is not None


def confirm(table: list[list[int]], sure: list[int]) -> Corrected:
    """Return the estimates of one field, of whose calls a person has made some."""
    counts = np.array(table)
    matrix = np.rint(RATES * np.array(SIZES)[:, None] * 10).astype(int)
    confusion = ConfusionMatrix(NAMES, NAMES, tuple(map(tuple, matrix.tolist())), has_unclassified=True)
    known = Knowledge(confusion, LINEAGES, Detection((70, 80), (90, 100), "a test"))
    dealt = np.outer(counts[:, -1], np.full(len(NAMES), 1 / len(NAMES)))
    contrasts = [Contrast((n,), tuple(m for m in NAMES if m != n), "share") for n in NAMES]
    return estimate_contrasts(
        Calls(counts[:, :-1], counts[:, -1], dealt, np.array([sure])), known, contrasts, 0.95
    )


def test_calls_of_a_person_are_what_they_are_and_have_the_error_of_sampling_alone() -> None:
    counts = [40 + 10 * k for k in range(len(NAMES))]
    found = confirm([[*counts, 0]], counts)
    for share, count in zip(found.estimates, counts, strict=True):
        assert share.value == pytest.approx(count / sum(counts))
        low, high = share.interval or (1.0, None)
        spread = 1.96 * (count / sum(counts) * (1 - count / sum(counts)) / sum(counts)) ** 0.5
        assert high is not None
        assert high - low == pytest.approx(2 * spread, rel=0.15)


def test_the_more_calls_are_of_a_person_the_nearer_the_estimate_is_to_the_count() -> None:
    counts = [40 + 10 * k for k in range(len(NAMES))]
    raw = counts[0] / sum(counts)
    away = [
        abs((confirm([[*counts, 0]], [round(part * n) for n in counts]).estimates[0].value or 0.0) - raw)
        for part in (0.0, 0.5, 1.0)
    ]
    assert away[0] > away[1] > away[2]
    assert away[2] == pytest.approx(0.0, abs=1e-9)
