"""A database that cannot be used is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.errors import DataError, UsageError
from erythron.review.store.database import name_file, open_database


@pytest.mark.parametrize("url", ["no url", "mysql+nodriver://x/y"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--database cannot be used"):
        open_database(url)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        open_database(name_file(tmp_path / "no" / "review.sqlite"))


def test_what_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "review.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match=r"review\.sqlite, cannot be opened: .*or name another one"):
        open_database(name_file(tmp_path / "review.sqlite"))


@pytest.mark.parametrize(
    "change", ["ADD COLUMN weight INTEGER NOT NULL DEFAULT 1", "RENAME COLUMN source TO via"]
)
def test_a_database_of_another_version_is_not_written_into(change: str, tmp_path: Path) -> None:
    url = name_file(tmp_path / "review.sqlite")
    engine = open_database(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE event {change}")
    engine.dispose()
    with pytest.raises(DataError, match=r"review\.sqlite, is of another version of erythron \(table event\)"):
        open_database(url)
