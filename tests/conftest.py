"""Fixtures for every test, and the rule that nothing which should run is skipped in CI."""

from __future__ import annotations

import base64
import faulthandler
import gc
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from .ahead import Ahead, Ended, find_program

# Of two cores the programs of ``ahead`` have one; threads of torch that wait for it turn in circles.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Some hundred tests start a process of their own; each would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that runs this in the background has its children ignore Ctrl-C, and they theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_END_S = 120
"""From the last test to the end of the process: some seconds, more where folders of before are removed."""

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


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Nothing is forced to the disk: no test cuts the power, and thousands of files would wait for it.

    What tests start as a process of its own forces its files there as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what waits for a program, so that the others run meanwhile."""
    items.sort(key=lambda item: find_program(item) is not None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what is imported by now out of the search for garbage, which then takes half a second less."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ahead]:
    """The programs that tests of this session wait for; they start with its first test."""
    started = Ahead(request.session.items, tmp_path_factory.mktemp("ahead"))
    yield started
    started.stop()


@pytest.fixture
def ahead(request: pytest.FixtureRequest, programs: Ahead) -> Ended:
    """How the program ended that the marker of this test names."""
    prepare = find_program(request.node)
    assert prepare is not None
    return programs.wait(prepare)


def pytest_unconfigure() -> None:
    """End a process that does not end by itself after its last test, and say in which line each thread is."""
    faulthandler.dump_traceback_later(LONGEST_END_S, exit=True, file=sys.__stderr__)


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


AXE_VERSION = "4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core (MPL-2.0), which checks a page's accessibility, from the npm registry."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, which brings axe-core, is not installed")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "pack", f"axe-core@{AXE_VERSION}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.fail(f"npm could not bring axe-core {AXE_VERSION}: {done.stderr.strip()}")
    archive = folder / f"axe-core-{AXE_VERSION}.tgz"
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == AXE_SHA512
    with tarfile.open(archive) as package:
        source = package.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode("utf-8")
