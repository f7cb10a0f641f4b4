"""How often cells are found: the shipped counts, their check, the draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import Lineage
from erythron.differential.detection import Detection, choose_detection, draw_recall, read_detection


def test_the_shipped_counts_are_of_the_shipped_network() -> None:
    shipped = read_detection()
    assert shipped.network in load_bundle().card.files.values()
    assert shipped.source
    assert choose_detection(load_bundle().card.files.values()) == shipped


def test_counts_of_another_network_are_not_used() -> None:
    assert choose_detection(["0" * 64, "1" * 64]) is None


def test_each_lineage_has_its_counts() -> None:
    found = Detection((8, 10), (9, 9), "", "a test")
    assert found.of(Lineage.ERYTHROID) == (8, 10)
    assert found.of(Lineage.GRANULOCYTIC) == (9, 9)


@pytest.mark.parametrize("counts", [(3, 2), (-1, 2), (0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot have been found"):
        Detection(counts, (1, 1), "", "a test")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "detection.toml"
    path.write_text('erythroid = [1, 2]\nother = [3, 4]\nnetwork = "a"\nsource = "b"\n', encoding="utf-8")
    assert read_detection(path) == Detection((1, 2), (3, 4), "a", "b")


def test_drawn_rates_are_beta_with_half_a_cell_each() -> None:
    drawn = draw_recall((8, 10), 50_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(8.5 / 11, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(8.5 * 2.5 / (11**2 * 12)), rel=0.02)
