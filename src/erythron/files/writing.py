"""Files that appear under their final name only when they are whole.

A file or folder is first written beside its place under a name of this process that starts with ``.`` and
ends with ``.partial``, then renamed in one step. The next process that writes into the same folder removes
what a killed one left there.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from erythron.files.hashing import hash_text

PARTIAL_SUFFIX = ".partial"

_LONGEST_NAME = 255
"""Bytes of a name that ext4, XFS, APFS and NTFS take."""

_HOST = hash_text(platform.node())[:6]
_NUMBERS = itertools.count()
_OWN = re.compile(r"\.([0-9a-f]{6})-(\d+)-\d+\.partial$")
_RETIRED = "old.partial"
_HASH_LENGTH = 16
_HASHED = re.compile(r"[0-9a-f]{16}")

_open: set[str] = set()
"""Partial names that this process writes now."""

_swept: set[Path] = set()
"""Folders that this process has looked through for what killed ones left."""


def partial_path(final: Path) -> Path:
    """Return a name of this process under which ``final`` is written until it is whole."""
    return _hide(final, f"{_HOST}-{os.getpid()}-{next(_NUMBERS)}{PARTIAL_SUFFIX}")


def _hide(final: Path, ending: str) -> Path:
    """Return a hidden name beside a path; a long name is stood for by its hash."""
    name = f".{final.name}.{ending}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{hash_text(final.name)[:_HASH_LENGTH]}.{ending}"
    return final.with_name(name)


def sweep(folder: Path) -> None:
    """Remove what killed processes of this machine left half written in a folder.

    A folder that one was replacing is put back where its place is empty.
    """
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError:
        return
    for name in names:
        if name.endswith(f".{_RETIRED}"):
            stem = name[1 : -len(_RETIRED) - 1]
            # A long name cannot be told from its hash: then only who replaces that folder puts it back.
            if not _HASHED.fullmatch(stem) or stem in names:
                _put_back(folder / name, folder / stem)
            elif any(hash_text(other)[:_HASH_LENGTH] == stem for other in names):
                remove(folder / name)
        elif (found := _OWN.search(name)) and _is_left(name, found[1], int(found[2])):
            remove(folder / name)


def _is_left(name: str, host: str, pid: int) -> bool:
    """Return whether the process that wrote a partial file has ended."""
    if host != _HOST:
        return False
    if pid == os.getpid():  # of an earlier process with this number, as every start of a container has it
        return name not in _open
    # On Windows the question would end the process; there its partial files stay.
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False


def _put_back(retired: Path, final: Path) -> None:
    """Settle what a process left that was killed while it replaced a folder."""
    if not os.path.lexists(final):
        retired.replace(final)
    else:
        remove(retired)


def _follow(final: Path) -> Path:
    """Return where a link leads to, also where nothing is there yet; another path as it is."""
    return Path(os.path.realpath(final)) if final.is_symlink() else final


@contextmanager
def _begin(final: Path) -> Iterator[Path]:
    """Give a partial name for ``final``; what is left under it when the block fails goes."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.parent not in _swept:
        _swept.add(final.parent)
        sweep(final.parent)
    partial = partial_path(final)
    _open.add(partial.name)
    try:
        yield partial
    except BaseException:
        remove(partial)
        raise
    finally:
        _open.discard(partial.name)


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
    """Give a path to write to; it becomes ``final`` when the block ends, and goes when the block fails.

    Where ``final`` is a link, what it leads to is replaced, and the link stays.
    """
    final = _follow(final)
    with _begin(final) as partial:
        yield partial
        _sync(partial)
        partial.replace(final)


@contextmanager
def unnamed_file(folder: Path) -> Iterator[Path]:
    """Give a path to write to in a folder; what is there when the block ends goes, unless it was kept.

    It is for what is named by its content; :func:`keep_file` gives it that name.
    """
    with _begin(folder / "unnamed") as partial:
        yield partial
        remove(partial)


def keep_file(partial: Path, final: Path) -> None:
    """Give the file of :func:`unnamed_file` its name, in the same folder, once it is whole.

    Raises:
        OSError: the disk is full.
    """
    _sync(partial)
    partial.replace(final)


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
def whole_folder(final: Path, *, synced: bool = True, own: Collection[str] | None = None) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``final`` when the block ends, and goes when the block fails.

    An existing ``final`` is replaced only after the new one is complete; the moment between the two renames
    leaves the old one under a hidden name, from which the next process puts it back, never a mixture. Where
    ``final`` is a link, what it leads to is replaced, and the link stays.

    Args:
        final: its path; missing parent folders are made.
        synced: force every file to the disk before the folder appears. Without it a power cut may leave files
            empty, which is right only where what they are made from stays: twenty thousand take minutes.
        own: names of files and folders in an existing ``final`` that may go; all others are kept. None where
            nobody else can have put anything there.
    """
    final = _follow(final)
    with _begin(final) as partial:
        retired = _hide(final, _RETIRED)
        if retired.exists():
            _put_back(retired, final)
        partial.mkdir()
        yield partial
        for path in partial.rglob("*"):
            if synced and path.is_file():
                _sync(path)
        if not os.path.lexists(final):
            partial.replace(final)
            return
        if own is not None and final.is_dir():
            _keep_foreign(final, partial, own)
        final.replace(retired)
        try:
            partial.replace(final)
        except OSError:
            _put_back(retired, final)
            raise
        remove(retired)


def _keep_foreign(old: Path, new: Path, own: Collection[str]) -> None:
    """Put what erythron did not write into the folder that takes an old one's place, without moving it."""
    for entry in old.iterdir():
        target = new / entry.name
        if entry.name in own or _OWN.search(entry.name) or os.path.lexists(target):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, target, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(target))


def _link(source: str, target: str) -> str:
    """Give a file a second name, or copy it where the drive has no second names."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


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
