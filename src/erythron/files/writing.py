"""Files that appear under their final name only when they are whole.

A file or folder is first written beside its place under a name that starts with ``.`` and ends with
``.partial``, then renamed in one step. The next run that writes the same place replaces what a killed run
left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"


def partial_path(final: Path) -> Path:
    """Return the name under which ``final`` is written until it is whole."""
    return final.with_name(f".{final.name}{PARTIAL_SUFFIX}")


def write_file(final: Path, content: str | bytes) -> None:
    """Write a file in one step, replacing what is there.

    Args:
        final: its path; missing parent folders are made.
        content: text (written as UTF-8 with Unix line ends) or bytes.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with whole_file(final) as partial:
        partial.write_bytes(data)


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes ``final`` when the block ends, and goes when the block fails."""
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(final)
    try:
        yield partial
        _sync(partial)
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def open_at(path: Path, start: int = 0) -> Iterator[BinaryIO]:
    """Open a file to write from a byte on; what lay behind that byte goes.

    It may appear before it is whole, so it's for a download that a later run continues, and for what lies in
    a folder that :func:`whole_folder` makes whole.

    Args:
        path: the file; missing parent folders are made.
        start: its first bytes that stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        yield file


@contextmanager
def whole_folder(final: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``final`` when the block ends, and goes when the block fails.

    An existing ``final`` is replaced only after the new one is complete; the moment between the two renames
    leaves the old one under its partial name, never a mixture.

    Args:
        final: its path; missing parent folders are made.
        synced: force every file to the disk before the folder appears. Without it a power cut may leave files
            empty, which is right only where what they are made from stays: twenty thousand take minutes.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(final)
    remove(partial)
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            if synced and path.is_file():
                _sync(path)
        if final.exists():
            retired = partial_path(final.with_name(f"{final.name}.old"))
            remove(retired)
            final.replace(retired)
            partial.replace(final)
            remove(retired)
        else:
            partial.replace(final)
    except BaseException:
        remove(partial)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Force a file's bytes to the disk, so that a rename can't outlive them in a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
