"""Only what is a file is read: nothing that never ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from erythron.files.hashing import hash_file
from erythron.files.reading import read_content, read_text


@pytest.mark.parametrize("read", [read_content, read_text, hash_file])
def test_pipes_devices_and_folders_are_refused_at_once(read: object, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)  # type: ignore[operator]
    with pytest.raises(IsADirectoryError):
        read(tmp_path)  # type: ignore[operator]


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("\ufeffé = 1".encode())
    assert read_text(tmp_path / "a.toml") == "é = 1"
