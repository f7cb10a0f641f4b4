"""Counting in several processes of this machine, behind the protocol of every executor.

The networks use all cores, but what is done between them, cutting, measuring and writing, uses one. So with
many images or tiles one process a core, each with its own networks on one thread, is faster than one process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import FrameType
from typing import Any, Generic

from erythron.errors import BundleError
from erythron.interrupts import is_interrupted, start_deaf
from erythron.pipeline.executor import STOPPING, Failure, Item, Result, Task, attempt, log_outcome

AHEAD = 3
"""Items a worker that are taken at once: outcomes come in order, and a slow one must not hold up others."""

RETRIES = 2
"""Times that an item is tried again, alone, after a worker was lost while it did it."""

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS")

_LOOK_S = 0.1
"""How often it is looked whether the items at work are done, once no more are wanted."""

_GRACE_S = 10.0
"""How long a worker that is told to end may take to leave compiled code and take away what it half wrote."""

_work: Callable[[Any], Any] | None = None
"""What this worker does, once its networks are loaded."""

_task: Task[Any, Any] | None = None

_is_at_work = _is_told_to_end = False
"""Whether this worker does an item, and whether it was told to end."""


@dataclass(eq=False)
class _Sent(Generic[Item]):
    """An item that was handed out and is not yielded yet.

    Attributes:
        item: it.
        answer: what will come of it; None where it is to be handed out.
        lost: how many workers were lost while they did it alone.
    """

    item: Item
    answer: Future[Any] | None = None
    lost: int = 0


class _Worker(SpawnProcess):
    """A process that does not hear of Ctrl-C, from its first moment: that is for its parent."""

    def start(self) -> None:
        """Start it."""
        start_deaf(super().start)


class _Workers(SpawnContext):
    """Starts workers, each anew: the networks' threads do not survive a fork. It keeps hold of them.

    A pool that breaks while it starts a worker leaves that one running, and then waits for its end for ever,
    at the exit of Python too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started: list[_Worker] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Return a process for the pool."""
        process = _Worker(*args, **options)
        self._started.append(process)
        return process

    def end(self) -> None:
        """End all that still run; returns when none does."""
        running = [one for one in self._started if one.pid is not None and one.exitcode is None]
        for process in running:
            process.terminate()
        for process in running:
            process.join(_GRACE_S)
            if process.exitcode is None:
                process.kill()


class ProcessExecutor:
    """Does items in processes of this machine, see the module.

    Args:
        workers: how many.
        say: told at an interrupt that the items at work are finished first; None tells nobody.
    """

    def __init__(self, workers: int, say: Callable[[str], None] | None = None) -> None:
        self._workers, self._say = workers, say

    def run(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """See :class:`erythron.pipeline.executor.Executor`; items are taken a few before their turn."""
        source, sent = iter(items), deque[_Sent[Item]]()
        pool, started = self._open(task)
        try:
            while True:
                for item in islice(source, AHEAD * self._workers - len(sent)):
                    sent.append(_Sent(item))
                if not sent:
                    return
                outcome = self._take_first(pool, sent)
                while outcome is None or sent[0].lost > RETRIES:
                    pool.shutdown(wait=False, cancel_futures=True)
                    started.end()
                    pool, started = self._open(task)
                    if outcome is not None:
                        break
                    outcome = self._take_first(pool, deque([sent[0]]))
                if isinstance(outcome, BundleError):
                    raise outcome
                item = sent.popleft().item
                log_outcome(item.name, outcome)
                yield item, outcome
        finally:
            say = self._say if is_interrupted() else None
            _close(pool, started, [one.answer for one in sent if one.answer is not None], say)

    def _open(self, task: Task[Any, Any]) -> tuple[ProcessPoolExecutor, _Workers]:
        for name in _ONE_THREAD:
            os.environ.setdefault(name, "1")  # read by libraries of the workers when they start
        workers = _Workers()
        pool = ProcessPoolExecutor(self._workers, workers, initializer=_begin, initargs=(task,))
        return pool, workers

    def _take_first(self, pool: ProcessPoolExecutor, sent: deque[_Sent[Item]]) -> Any:
        """Hand out what is not handed out yet, and return what came of the first item.

        A lost worker takes all that is handed out with it, and nobody knows which item is to blame. So the
        first is then done alone, and if a worker is lost again, it was that.

        Returns:
            None where a worker was lost, and the first is to be tried again.
        """
        first = sent[0]
        try:
            for one in sent:
                if one.answer is None:
                    one.answer = pool.submit(_do, one.item)
            return None if first.answer is None else first.answer.result()
        # A pool that is just breaking refuses items by an OSError; those of an item are its outcome.
        except (BrokenProcessPool, OSError):
            for one in sent:
                if one.answer is not None and (not one.answer.done() or one.answer.exception() is not None):
                    one.answer = None
            if len(sent) > 1:
                return None
            first.lost += 1
            return None if first.lost <= RETRIES else _describe_loss(first.item.name)


def _close(
    pool: ProcessPoolExecutor,
    started: _Workers,
    answers: Sequence[Future[Any]],
    say: Callable[[str], None] | None,
) -> None:
    """End a pool and its workers; who gives up half-way, by Ctrl-C too, waits for the items at work.

    The answers are cancelled by the pool's own thread alone: that dies of one which is cancelled while it
    tells all answers that a worker was lost, and then the others never come. Another Ctrl-C meanwhile cuts
    the items off. Who waits at an interrupt is told so at once, by ``say``.
    """
    ending = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
    ending.start()
    try:
        if say is not None and not all(answer.done() for answer in answers):
            say(STOPPING)
        while ending.is_alive() and not all(answer.done() for answer in answers):
            ending.join(_LOOK_S)
    finally:
        started.end()
        ending.join(_GRACE_S)


def _describe_loss(name: str) -> Failure:
    return Failure(
        name,
        f"{name}: the worker was lost {RETRIES + 1} times while it did this; there may be too little memory, "
        "so give fewer --workers, or the file is damaged",
    )


def _begin(task: Task[Any, Any]) -> None:
    """Make this process a worker: its parent alone hears of Ctrl-C, and it does not outlive its parent."""
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # noqa: S101
    parent.join()
    if not hasattr(signal, "pthread_kill"):
        os._exit(1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _end(_number: int, _frame: FrameType | None) -> None:
    """End this worker; from the midst of an item by an exception, so that half-written files go."""
    global _is_told_to_end
    _is_told_to_end = True
    if not _is_at_work:
        os._exit(1)
    raise KeyboardInterrupt


def _do(item: Any) -> object:
    """Return what came of an item; the networks are loaded at the first."""
    global _is_at_work, _work
    try:
        _is_at_work = True
        if _work is None:
            assert _task is not None  # noqa: S101
            _work = _task.start()
        return attempt(item.name, partial(_work, item))
    except BundleError as error:
        return error
    except KeyboardInterrupt:
        return None  # to nobody, see below
    finally:
        _is_at_work = False
        if _is_told_to_end:  # compiled code that calls back into Python may have swallowed the exception
            os._exit(1)
