"""A folder of results belongs to one run at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from erythron.errors import UsageError

LOCK = ".erythron.lock"
"""Lies in a folder while a run writes there; one that a killed run left hinders nobody."""

log = logging.getLogger(__name__)


class FolderBusyError(UsageError):
    """Another run writes into the folder now; later it may be free."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder of results while the block runs; it is made where it is not there.

    The lock is the operating system's, so it ends with the process, however that ends.

    Raises:
        FolderBusyError: another run writes into the folder.
        OSError: the folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    was_there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise FolderBusyError(
            f"{folder}: another run of erythron writes there; wait for its end, or choose another --out"
        ) from error
    except NotImplementedError:
        # Some network drives have no locks: then nobody can be kept out.
        log.warning("%s: this drive has no locks, so keep other runs out of the folder", folder)
        yield
        return
    try:
        yield
    finally:
        # Removed while it is held: who waits for it notices that the file has gone, and makes another.
        if os.name == "posix":
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        if not was_there:
            with suppress(OSError):  # not empty, as it should be
                folder.rmdir()
