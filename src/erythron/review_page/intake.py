"""A picture comes in over HTTP: piece by piece to the disk, never into memory, and named by its content.

No path is formed from what was sent, no decoder looks at it here, and nothing of what was refused stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from erythron.files.hashing import hash_file
from erythron.files.writing import keep_file, open_at, remove, unnamed_file
from erythron.read.fields import HEAD, choose_suffix

MAX_UPLOAD_BYTES = 400_000_000
"""Bytes of a picture: the most pixels that are read, 64 million, of 16 bits a channel, not compressed."""

MOST_AT_ONCE = 4
"""Pictures that come in at one time; with the bytes of one, what uploads can take of the disk unasked."""

_PATIENCE_S = 30.0
"""Seconds without a byte after which a sender is given up."""

_PIECE = 1 << 20
"""Bytes that are written at once; all of an upload that is ever in memory."""


Made = TypeVar("Made")


@dataclass(frozen=True)
class Stored:
    """A picture that came in whole.

    Attributes:
        path: of the file.
        sha256: of its bytes, as hexadecimal.
    """

    path: Path
    sha256: str


class TooManyAtOnceError(Exception):
    """As many pictures come in already as may at one time."""


class SlowError(Exception):
    """No byte came for too long."""


class Intake:
    """Takes pictures in; how many bytes one may have is the guard's to see."""

    def __init__(self) -> None:
        self._coming = 0
        self._naming = asyncio.Lock()

    async def take(self, pieces: AsyncIterator[bytes], folder: Path, enter: Callable[[Stored], Made]) -> Made:
        """Store a picture under its hash and enter it in the record, both or neither.

        Args:
            pieces: its bytes as they come.
            folder: where it is stored.
            enter: enters the stored picture, and returns what is answered.

        Raises:
            TooManyAtOnceError: others are coming in.
            SlowError: its sender fell silent.
            ImageReadError: it does not begin as a picture of a kind that is read.
            OSError: the disk is full.
        """
        if self._coming >= MOST_AT_ONCE:
            raise TooManyAtOnceError
        self._coming += 1
        try:
            with unnamed_file(folder) as partial:
                suffix = await self._write(pieces, partial)
                sha256 = await run_in_threadpool(hash_file, partial)
                # One at a time, so that none goes that another upload of the same picture has entered.
                async with self._naming:
                    return await run_in_threadpool(
                        _keep, partial, Stored(folder / f"{sha256}{suffix}", sha256), enter
                    )
        finally:
            self._coming -= 1

    async def _write(self, pieces: AsyncIterator[bytes], partial: Path) -> str:
        """Write what comes and return the suffix of its kind, which is judged before the rest is taken."""
        size, suffix = 0, ""
        async for some in _gather(pieces):
            suffix = suffix or choose_suffix(some[:HEAD])
            await run_in_threadpool(_append, partial, size, some)
            size += len(some)
        return suffix or choose_suffix(b"")


async def _gather(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what comes in larger pieces."""
    held = bytearray()
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                held += await anext(pieces)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise SlowError from error
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _append(path: Path, at: int, piece: bytes) -> None:
    with open_at(path, at) as file:
        file.write(piece)


def _keep(partial: Path, stored: Stored, enter: Callable[[Stored], Made]) -> Made:
    was_there = stored.path.exists()
    keep_file(partial, stored.path)
    try:
        return enter(stored)
    except Exception:
        if not was_there:
            remove(stored.path)
        raise
