"""The databases that the record of a review is tried on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from erythron.review.store.database import name_file


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty PostgreSQL database on a socket of its own, from Debian's packages."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("no PostgreSQL server is installed")
    place = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    # A server refuses to run as root; the package brings a user for it.
    before: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
        before = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *words: str) -> None:
        command = [*before, str(found[-1] / program), "-D", str(place / "data"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=place)

    run("initdb", "-A", "trust", "-U", "reader", "--no-sync")
    socket = f"-c listen_addresses='' -c unix_socket_directories={place}"
    run("pg_ctl", "-o", socket, "-l", str(place / "log"), "-w", "start")
    yield f"postgresql+psycopg://reader@/postgres?host={place}"
    run("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(place)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind that is supported."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgresql")
        return found
    return name_file(tmp_path / "review.sqlite")
