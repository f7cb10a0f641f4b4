"""The process that counts pictures which were sent, beside the server, so that the page answers meanwhile.

Decoders and networks see such a picture here first: what breaks them breaks this process alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from erythron.errors import ErythronError, describe_os_error
from erythron.files.locking import FolderBusyError
from erythron.interrupts import raise_interrupt, raise_lost_interrupt, start_deaf
from erythron.pipeline.added import NewImage, add_image

_NICE = 10
"""How far the counting stands back behind the server and the browser of this machine."""


@dataclass(frozen=True)
class Outcome:
    """What came of a picture.

    Attributes:
        reason: why it could not be counted, with the next step; empty where it is counted.
        is_busy: whether it is to be tried again later, since another run writes into the folder now.
    """

    reason: str = ""
    is_busy: bool = False


class CrashError(Exception):
    """The process ended while it counted a picture."""


def count_new(out: Path, new: NewImage) -> Outcome:
    """Count a picture into a run in this process, see :func:`erythron.pipeline.added.add_image`."""
    try:
        failure = add_image(out, new)
    except FolderBusyError:
        return Outcome(is_busy=True)
    except ErythronError as error:
        return Outcome(str(error))
    except OSError as error:
        return Outcome(describe_os_error(error))
    return Outcome() if failure is None else Outcome(failure.reason)


class CountingProcess:
    """A process that counts one picture after another; it starts with the first and again where it ended.

    Args:
        out: folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._process: BaseProcess | None = None
        self._line: Connection | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def count(self, new: NewImage) -> Outcome:
        """Count a picture; returns when it is counted.

        Raises:
            CrashError: the process ended before that.
        """
        line = self._start()
        try:
            line.send(new)
            outcome: Outcome = line.recv()
        except (EOFError, OSError) as error:
            self._end()
            raise CrashError from error
        return outcome

    def stop(self) -> None:
        """End the process, also while it counts; what it had done is gone on with at the next try."""
        self._is_stopped = True
        self._end()

    def _start(self) -> Connection:
        with self._lock:
            if self._is_stopped:
                raise CrashError
            if self._line is None:
                context = multiprocessing.get_context("spawn")
                self._line, there = context.Pipe()
                self._process = context.Process(target=_serve, args=(there, self._out), daemon=True)
                start_deaf(self._process.start)
                there.close()  # so that the line breaks when the process ends
            return self._line

    def _end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                self._process.join(timeout=5)
                if self._process.exitcode is None:
                    self._process.kill()
            if self._line is not None:
                self._line.close()
            self._process = self._line = None


def _serve(line: Connection, out: Path) -> None:
    """Count what comes until the server ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    raise_interrupt()  # by SIGTERM, with which half-written files go
    if hasattr(os, "nice"):
        os.nice(_NICE)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            line.send(count_new(out, line.recv()))
            raise_lost_interrupt()
    os._exit(
        0
    )  # threads of a network that was cut off may still compute, see :func:`erythron.interrupts.leave`
