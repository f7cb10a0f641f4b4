"""How often cells are found: the check of the counts, their words, the draws."""

from __future__ import annotations

import numpy as np
import pytest

from erythron.cells.classes import Lineage
from erythron.differential.detection import Detection, describe_found, draw_recall


def test_each_lineage_has_its_counts() -> None:
    found = Detection((8, 10), (9, 9), "a test")
    assert found.of(Lineage.ERYTHROID) == (8, 10)
    assert found.of(Lineage.GRANULOCYTIC) == (9, 9)


@pytest.mark.parametrize("counts", [(3, 2), (-1, 2), (0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot have been found"):
        Detection(counts, (1, 1), "a test")


def test_counts_are_told_with_their_exact_interval() -> None:
    # Of 47 cells none missed: the lower limit is .025^(1/47) = .924.
    assert describe_found((47, 47), "other", 0.95) == "47 of 47 other cells, 92 to 100 %"


def test_drawn_rates_are_beta_with_half_a_cell_each() -> None:
    drawn = draw_recall((8, 10), 50_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(8.5 / 11, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(8.5 * 2.5 / (11**2 * 12)), rel=0.02)
