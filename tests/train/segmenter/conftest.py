"""Sets with outlines, laid out like the public ones and small, and the windows that are cut from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.train.segmenter.windows import Windows, load_windows

from .images import draw_sets


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def windows(data: Path) -> Windows:
    return load_windows(data, 2, 0)
