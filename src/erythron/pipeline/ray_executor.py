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
lost fails, and the others are done. At most :data:`AHEAD` items a worker are handed out
beyond the one whose turn it is, so neither the driver nor the object store fills up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any, Generic

from erythron.errors import BundleError, MissingExtraError, UsageError
from erythron.pipeline.executor import Failure, Item, Result, Task, attempt

AHEAD = 3
"""Items a worker that are handed out at once: one is done while the next waits, and one evens out sizes."""

RETRIES = 2
"""Times that an item is tried again after the worker that did it was lost."""

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
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._address, self._workers = address, workers

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
                pool.stop()
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
    try:
        ray.init(**settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}); start one with ray start --head, or give its "
            "address, such as ray://HOST:10001"
        ) from error


@dataclass
class _Sent(Generic[Item]):
    """An item that a worker has been given.

    Attributes:
        item: it.
        worker: number of the worker.
        answer: Ray's reference to what will come of it.
        lost: how many workers were lost while they did it.
    """

    item: Item
    worker: int
    answer: Any
    lost: int = 0


class _Pool(Generic[Item, Result]):
    """The workers of one run.

    Items are tried again here and not by Ray, which would count the loss of a worker against all that waited
    for it: the one that it was doing is to blame, and that is the first of those it had not answered.
    """

    def __init__(self, ray: ModuleType, task: Task[Item, Result], count: int) -> None:
        self._ray = ray
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(_Worker)
        self._workers = [actor.remote(task) for _ in range(count)]
        self._sent: deque[_Sent[Item]] = deque()

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item with what came of it, in order."""
        room = AHEAD * len(self._workers)
        while True:
            for item in islice(items, room - len(self._sent)):
                worker = self._find_idlest()
                self._sent.append(_Sent(item, worker, self._workers[worker].do.remote(item)))
            if not self._sent:
                return
            outcome = self._fetch()
            yield self._sent.popleft().item, outcome

    def stop(self) -> None:
        """End the workers, whatever they do."""
        for worker in self._workers:
            self._ray.kill(worker)

    def _find_idlest(self) -> int:
        """Return the worker that has the fewest items before it."""
        load = [0] * len(self._workers)
        if self._sent:
            answers = [one.answer for one in self._sent]
            _, open_answers = self._ray.wait(answers, num_returns=len(answers), timeout=0)
            waiting = set(open_answers)
            for one in self._sent:
                load[one.worker] += one.answer in waiting
        return load.index(min(load))

    def _fetch(self) -> Result | Failure:
        """Return what came of the first item."""
        first = self._sent[0]
        while True:
            try:
                outcome = self._ray.get(first.answer)
            except self._ray.exceptions.RayActorError as error:
                first.lost += 1
                if first.lost > RETRIES:
                    self._send_again(first.worker, but=first)
                    return Failure(first.item.name, _describe_loss(first.item.name, error))
                self._send_again(first.worker)
                continue
            if isinstance(outcome, BundleError):
                raise outcome
            done: Result | Failure = outcome
            return done

    def _send_again(self, worker: int, but: _Sent[Item] | None = None) -> None:
        """Hand out once more what was lost with a worker.

        Args:
            worker: its number.
            but: an item that is given up.
        """
        for one in self._sent:
            if one.worker == worker and one is not but and self._is_lost(one):
                one.answer = self._workers[worker].do.remote(one.item)

    def _is_lost(self, sent: _Sent[Item]) -> bool:
        try:
            self._ray.get(sent.answer, timeout=0)
        except self._ray.exceptions.GetTimeoutError:
            return False  # it waits for the worker that takes the place of the lost one
        except self._ray.exceptions.RayActorError:
            return True
        return False


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

    def do(self, item: Any) -> object:
        """Return what came of an item; an error of the model is returned, for Ray would wrap it."""
        try:
            if self._work is None:
                self._work = self._task.start()
            return attempt(item.name, partial(self._work, item))
        except BundleError as error:
            return error
