"""Content of files that a user names: whole, and only of what is a file.

A pipe or a device such as ``/dev/zero`` opens like a file and never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises:
        OSError: it is not there, may not be read, or is a folder, pipe or device.
    """
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.open("rb")


def read_content(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it is not there, may not be read, or is a folder, pipe or device.
    """
    with open_regular(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: as of :func:`read_content`.
        ValueError: it is no UTF-8.
    """
    return read_content(path).decode("utf-8-sig")
