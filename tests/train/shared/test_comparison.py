from __future__ import annotations

import numpy as np
import pytest

from erythron.errors import DataError
from erythron.train.shared.comparison import compare_calls


def make_calls(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    power = np.exp(rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[truth])
    return truth, power / power.sum(1, keepdims=True)


def test_comparison_of_a_model_with_itself_and_with_chance() -> None:
    truth, probabilities = make_calls()
    groups = np.arange(300).astype(str)
    same = compare_calls(truth, probabilities, probabilities, groups)
    assert (same.accuracy.low, same.accuracy.value, same.accuracy.high, same.mcnemar_p) == (0, 0, 0, 1)
    worse = compare_calls(truth, probabilities, np.roll(probabilities, 1, axis=1), groups)
    assert worse.accuracy.low > 0.2
    assert worse.mcnemar_p < 1e-6
    assert worse.only_first > worse.only_second
    with pytest.raises(DataError, match="differ in cells or classes"):
        compare_calls(truth, probabilities, probabilities[:, :3], groups)
