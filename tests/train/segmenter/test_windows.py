"""Windows around outlined cells and empty places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from erythron.errors import DataError
from erythron.train.segmenter.windows import STORE_PX, Windows, load_windows


def test_every_outlined_cell_has_a_window_around_its_nucleus(windows: Windows) -> None:
    sources, counts = np.unique(windows.source[windows.has_cell], return_counts=True)
    assert dict(zip(sources.tolist(), counts.tolist(), strict=True)) == {
        "marrow": 12,
        "bcisc": 4,
        "bccd": 4,
        "pbc": 4,
    }
    middle = STORE_PX // 2
    assert (windows.masks[windows.has_cell][:, middle, middle, 1] > 127).all()


def test_windows_of_one_piece_of_smear_share_a_fold(windows: Windows) -> None:
    folds = windows.fold[np.isin(windows.name, ["band_000.png", "band_001.png"])]
    assert len(set(folds.tolist())) == 1


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pathology-bites-cells"):
        load_windows(tmp_path, 2, 0)
