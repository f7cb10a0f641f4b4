"""Counting on a Ray cluster: one worker a core, anywhere, behind the protocol of every executor.

Each worker is a Ray actor that loads the networks once and is given items one after the other. Only what an
item is named by and a short answer travel: pixels are read, and results written, where the worker runs, so
images and the folder of results must lie where every node sees them under one path.

Ray's core is used and not Ray Data. The items of a count are not there when it starts: a slide is planned
when its turn comes, and what follows may depend on it. Ray Data takes a finished set of rows, hands them on
in no order unless told to keep all of it back, and gives up a whole set for one row that fails too often;
here each input must fail alone and be named. What it would bring, batches of rows in the object store, is not
needed where rows are a few hundred bytes.

A worker that is lost is started again and its item done again; an item with which :data:`RETRIES` more are
lost fails, and the others are done. At most :data:`AHEAD` items a worker are taken before their turn, so
neither the driver nor the object store fills up.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any, Generic

from erythron.errors import BundleError, MissingExtraError, UsageError
from erythron.interrupts import is_interrupted
from erythron.pipeline.executor import STOPPING, Failure, Item, Result, Task, attempt, log_outcome

AHEAD = 3
"""Items a worker that are taken at once: outcomes come in order, and a slow one must not hold up others."""

RETRIES = 2
"""Times that an item is tried again after the worker that did it was lost."""

RESTART_S, _PAUSE_S = 60.0, 0.1
"""How long a worker may take to start again, and how often it is asked."""

_STORE_BYTES = 128 * 1024**2
"""Object store of a cluster that is started here; Ray would take a third of the memory."""

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""A worker has one core: libraries that start a thread for each core of the machine would fight over it."""


class RayExecutor:
    """Does items on a Ray cluster, see the module.

    Args:
        address: of the cluster, such as ``ray://head:10001`` or ``auto``; None starts one on this machine
            that ends with the run.
        workers: how many; None for one a core of the cluster.
        say: told at an interrupt that the items at work are finished first; None tells nobody.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._address, self._workers, self._say = address, workers, say

    def run(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """See :class:`erythron.pipeline.executor.Executor`; items are taken a few before their turn.

        Raises:
            MissingExtraError: Ray is not installed.
            UsageError: there is no cluster at the address.
        """
        ray = import_ray()
        was_running = ray.is_initialized()
        if not was_running:
            _connect(ray, self._address)
        try:
            count = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            pool = _Pool[Item, Result](ray, task, count)
            try:
                yield from pool.run(iter(items))
            finally:
                pool.stop(self._say if is_interrupted() else None)
        finally:
            if not was_running:
                ray.shutdown()


def import_ray() -> ModuleType:
    """Return the module of Ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "count on a Ray cluster") from error
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str | None) -> None:
    settings: dict[str, Any] = {"runtime_env": {"env_vars": _ONE_THREAD}, "log_to_driver": False}
    if address is None:
        # Without an address Ray would join a cluster that happens to run on this machine.
        settings |= {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "configure_logging": False,
        }
    else:
        settings["address"] = address
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}); start one with ray start --head, or give its "
            "address, such as ray://HOST:10001"
        ) from error
    except SystemExit as ending:  # what Ray's own handler, which is in place by now, makes of SIGTERM
        raise KeyboardInterrupt from ending
    finally:
        # Ray puts a handler of its own in its place, which ends the program with a status of its own.
        if callable(at_sigterm) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_sigterm)


@dataclass(eq=False)
class _Given(Generic[Item]):
    """An item that was taken and is not yielded yet.

    Attributes:
        item: it.
        outcome: what came of it, in a list of one; empty until it is known.
        lost: how many workers were lost while they did it.
    """

    item: Item
    outcome: list[Any] = field(default_factory=list)
    lost: int = 0


class _Pool(Generic[Item, Result]):
    """The workers of one run; each is given one item at a time.

    A queue of items at each worker would save the milliseconds between two items. But when a worker is lost,
    all that waits for it is lost as well, and nobody could tell which item is to blame.
    """

    def __init__(self, ray: ModuleType, task: Task[Item, Result], count: int) -> None:
        self._ray = ray
        # Ray tries again without saying so, and at a worker that may not be there yet; that is done here.
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(_Worker)
        self._workers = [actor.remote(task) for _ in range(count)]
        self._idle = list(range(count))
        self._busy: dict[Any, tuple[int, _Given[Item]]] = {}

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item with what came of it, in order."""
        given: deque[_Given[Item]] = deque()
        waiting: deque[_Given[Item]] = deque()
        room = AHEAD * len(self._workers)
        while True:
            for item in islice(items, room - len(given)):
                given.append(_Given(item))
                waiting.append(given[-1])
                self._hand_out(waiting)
            if not given:
                return
            while not given[0].outcome:
                self._hand_out(waiting)
                self._collect(waiting)
            self._hand_out(waiting)
            first = given.popleft()
            if isinstance(first.outcome[0], BundleError):
                raise first.outcome[0]
            log_outcome(first.item.name, first.outcome[0])
            yield first.item, first.outcome[0]

    def stop(self, say: Callable[[str], None] | None = None) -> None:
        """End the workers; who gives up half-way waits for the items at work: no file is left half written.

        An interrupt meanwhile ends them at once. Who waits at an interrupt is told so by ``say``.
        """
        try:
            if self._busy:
                if say is not None:
                    say(STOPPING)
                self._ray.wait(list(self._busy), num_returns=len(self._busy))
        finally:
            for worker in self._workers:
                self._ray.kill(worker)

    def _hand_out(self, waiting: deque[_Given[Item]]) -> None:
        while waiting and self._idle:
            worker, one = self._idle.pop(0), waiting.popleft()
            self._busy[self._workers[worker].do.remote(one.item)] = (worker, one)

    def _collect(self, waiting: deque[_Given[Item]]) -> None:
        """Wait for an answer; an item that was lost with its worker is put before those that wait."""
        [answer, *_], _ = self._ray.wait(list(self._busy), num_returns=1)
        worker, one = self._busy.pop(answer)
        try:
            outcome = self._ray.get(answer)
        except self._ray.exceptions.RayActorError as error:
            one.lost += 1
            if one.lost > RETRIES:
                one.outcome.append(Failure(one.item.name, _describe_loss(one.item.name, error)))
            else:
                waiting.appendleft(one)
            self._wait_for(worker)
        else:
            one.outcome.append(outcome)
        self._idle.append(worker)

    def _wait_for(self, worker: int) -> None:
        """Wait until a worker has taken the place of a lost one; what it is told sooner is lost too."""
        for _ in range(int(RESTART_S / _PAUSE_S)):
            try:
                self._ray.get(self._workers[worker].answer.remote(), timeout=RESTART_S)
            except self._ray.exceptions.RayActorError:
                time.sleep(_PAUSE_S)
            except self._ray.exceptions.GetTimeoutError:
                return  # what is sent to it waits for it
            else:
                return


def _describe_loss(name: str, error: BaseException) -> str:
    cause = str(error).strip().partition("\n")[0]
    return (
        f"{name}: the worker was lost {RETRIES + 1} times while it did this ({cause}); there may be too "
        "little memory on its node, so give it fewer workers"
    )


class _Worker:
    """What runs in a process of its own: the networks are loaded at the first item."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self._task = task
        self._work: Callable[[Any], Any] | None = None

    def answer(self) -> None:
        """Say that the worker is there."""

    def do(self, item: Any) -> object:
        """Return what came of an item; an error of the model is returned, for Ray would wrap it."""
        try:
            if self._work is None:
                self._work = self._task.start()
            return attempt(item.name, partial(self._work, item))
        except BundleError as error:
            return error
