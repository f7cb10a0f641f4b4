"""Drawn sets, and a small run on them that a program of its own trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ahead import Ahead, Ended

from erythron.bundle.folder import Bundle, load_bundle
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.run_folder import RunRecord, read_record

from .small_run import draw_sets, make_small_frozen, prepare


@pytest.fixture(scope="session")
def drawn_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sets."""
    return draw_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def data_folder(drawn_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The drawn sets where registered ones are looked for."""
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(drawn_sets))
    return drawn_sets


@pytest.fixture(scope="session")
def small_frozen() -> FrozenRecipe:
    return make_small_frozen()


@pytest.fixture(scope="session")
def small_run(programs: Ahead) -> Ended:
    """The program that trained by the small recipe; tests that use it are marked with ``prepare``."""
    ended = programs.wait(prepare)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="session")
def trained(small_run: Ended) -> tuple[Path, RunRecord]:
    """The run of the small recipe on its two sets."""
    return small_run.folder / "run", read_record(small_run.folder / "run")


@pytest.fixture(scope="session")
def exported(small_run: Ended) -> Bundle:
    """The bundle of that run."""
    return load_bundle(small_run.folder / "bundle")
