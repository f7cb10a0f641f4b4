"""Fixtures for every test, and the rule that nothing which should run is skipped in CI."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

# Some hundred tests start a process of their own; each would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

REQUIRE_ALL = os.environ.get("ERYTHRON_REQUIRE_ALL_TESTS") == "1"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images."""
    value = os.environ.get("ERYTHRON_DATA_DIR")
    if not value:
        pytest.skip("ERYTHRON_DATA_DIR is not set")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"ERYTHRON_DATA_DIR names no folder: {folder}")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every test must run."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where every test must run: {report.longrepr}"
    return report
