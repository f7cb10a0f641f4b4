"""Ctrl-C and SIGTERM: whenever one comes, the program says the same and ends with the same status.

Imports nothing that takes time, because it is needed before anything else is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit status: 128 and the number of SIGINT, as shells have it."""

MESSAGE = "erythron: interrupted; give the same command again to continue"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_came: list[int] = []
"""Signals that came since the last :func:`raise_interrupt`."""


def end_at_once() -> None:
    """From now on let an interrupt end the process without further ado: there is nothing to clear up."""
    _handle_by(_end)


def raise_interrupt() -> None:
    """From now on let an interrupt raise KeyboardInterrupt, so that half-written files go."""
    _came.clear()
    _handle_by(_raise)


def is_interrupted() -> bool:
    """Return whether an interrupt came since :func:`raise_interrupt`, whatever became of its exception."""
    return bool(_came)


def raise_lost_interrupt() -> None:
    """Raise KeyboardInterrupt where one came and did not end the program.

    Compiled code that calls back into Python may swallow the exception ("Exception ignored in"), so loops
    over images ask between two of them.

    Raises:
        KeyboardInterrupt: a signal came.
    """
    if is_interrupted():
        raise KeyboardInterrupt


def start_deaf(start: Callable[[], None]) -> None:
    """Start a process that does not hear of Ctrl-C, which a terminal sends to all processes of a command.

    Where it comes before the process can ignore it itself, Python ends it with a traceback. Windows knows no
    signals that are held back; there that remains.

    Args:
        start: starts the process.
    """
    if not hasattr(signal, "pthread_sigmask"):
        start()
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # started with the process, it would take the signal up again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        start()  # a process begins with the mask of the thread that starts it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave(ending: BaseException) -> NoReturn:
    """End the process after an interrupt: what is open is closed, and the interpreter is not taken apart.

    A network that was cut off still computes in threads of its own, which call back into Python. A thread
    that finds the interpreter gone is ended by force inside compiled code that allows no such thing: the
    process aborts (status -6), or waits for that thread for ever. And Python ends a process by SIGINT (status
    -2) if one came while it ran a text as code, even where it was caught. Another interrupt meanwhile ends
    the process as it is.

    Args:
        ending: what the interrupt came to. It and what it came from hold iterators that are not at their end,
            such as one of results that other processes are still writing.
    """
    end_at_once()
    error: BaseException | None = ending
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or nobody reads it
            stream.flush()
    os._exit(INTERRUPTED)


def _handle_by(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _SIGNALS:
        # Who started the program in the background may have had a signal ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)


def _raise(number: int, _frame: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt
