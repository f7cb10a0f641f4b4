"""Sets with outlines, laid out like the public ones and small, and the windows that are cut from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.bundle.folder import Bundle, load_bundle
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.reviewed import ReviewedOutlines
from erythron.train.segmenter.stored import read_network
from erythron.train.segmenter.windows import Windows, load_windows

from .images import draw_sets
from .reviews import review_wider


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def windows(data: Path) -> Windows:
    return load_windows(data, 2, 0)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="session")
def net(bundle: Bundle) -> SegmentationNetwork:
    return read_network(bundle.segmentation_path)


@pytest.fixture(scope="session")
def found(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> ReviewedOutlines:
    return review_wider(tmp_path_factory.mktemp("wider"), bundle)
