from __future__ import annotations

import numpy as np
import pytest

from erythron.train.shared.intervals import compare_right, estimate


def test_groups_are_drawn_whole_and_widen_the_interval() -> None:
    groups = np.repeat([f"patient {i}" for i in range(30)], 10)
    right = np.repeat(np.arange(30) % 3 > 0, 10)

    def accuracy(index: np.ndarray) -> dict[str, float]:
        return {"accuracy": float(right[index].mean())}

    grouped = estimate(accuracy, groups, 0)["accuracy"]
    alone = estimate(accuracy, np.arange(300).astype(str), 0)["accuracy"]
    assert grouped.value == alone.value == pytest.approx(2 / 3, abs=1e-4)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)


def test_mcnemar_is_the_binomial_test_on_discordant_cells() -> None:
    a = np.array([True] * 7 + [False] * 2 + [True] * 20)
    b = np.array([False] * 7 + [True] * 2 + [True] * 20)
    assert compare_right(a, b) == pytest.approx(2 * (1 + 9 + 36) / 2**9)
    assert compare_right(a, a) == 1.0


def test_a_figure_that_no_cell_has_is_left_out_and_a_resample_without_it_does_not_count() -> None:
    values = np.array([1.0] * 5 + [np.nan] * 20)

    def figures(index: np.ndarray) -> dict[str, float]:
        found = values[index][~np.isnan(values[index])]
        return {"some": float(found.mean()) if len(found) else float("nan"), "none": float("nan")}

    estimates = estimate(figures, np.arange(25).astype(str), 0, {"some": ~np.isnan(values)})
    assert set(estimates) == {"some"}
    # All five cells that have it are right: of five, the lower limit is .025^(1/5).
    assert (estimates["some"].low, estimates["some"].high) == (pytest.approx(0.4782, abs=1e-4), 1.0)
