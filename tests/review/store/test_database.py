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
