"""Where a run's work is done: on this machine, or wherever an executor of one's own does it.

A :class:`Task` is plain data and can be sent to another process; what it starts holds the loaded networks. An
executor starts a task once in each process that works, and gives it the items one after the other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from erythron.errors import BundleError, ErythronError, describe_os_error
from erythron.files.naming import as_text
from erythron.interrupts import raise_lost_interrupt

log = logging.getLogger(__name__)

STOPPING = (
    "erythron: stopping; the images at work are finished first, which takes some seconds: press Ctrl-C again "
    "to cut them off"
)
"""What an executor of several workers says at the first Ctrl-C."""

Item_contra = TypeVar("Item_contra", bound="Named", contravariant=True)
Item = TypeVar("Item", bound="Named")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True)
class PartsDone:
    """How far an item is that is done in parts, as a slide is.

    Attributes:
        kind: what a part is called, such as ``tile``.
        done: parts that are done.
        total: parts that it has; None where that is not known before the end.
        cells: counted cells in them.
        cells_wanted: cells with which it is done; None where all parts are.
    """

    kind: str
    done: int
    total: int | None
    cells: int
    cells_wanted: int | None = None

    def __str__(self) -> str:
        """Say it in words."""
        of = "" if self.total is None else f" of {self.total}"
        wanted = "" if self.cells_wanted is None else f" of {self.cells_wanted}"
        parts = self.kind if (self.total or self.done) == 1 else f"{self.kind}s"
        return f"{self.done}{of} {parts}, {self.cells}{wanted} cells"


class Progress(Protocol):
    """Is told what is done."""

    def __call__(self, name: str, part: PartsDone | None = None, /) -> None:
        """Take in that an item is done, or a part of one.

        Args:
            name: of the item.
            part: how far it is; None where it is done.
        """


def no_progress(_: str, _part: PartsDone | None = None, /) -> None:
    """Report nothing."""


class Named(Protocol):
    """An item of work, such as an image; messages call it by its name."""

    @property
    def name(self) -> str:
        """What the user calls it."""


class Task(Protocol[Item_contra, Result_co]):
    """What is to be done with every item, as plain data."""

    def start(self) -> Callable[[Item_contra], Result_co]:
        """Return the function that does one item; called once in each process, it loads what all items need.

        Raises:
            BundleError: the model cannot be used.
        """


@dataclass(frozen=True)
class Failure:
    """An input that could not be done, and why.

    Attributes:
        image: the path as given.
        reason: cause and next step, one line.
    """

    image: str
    reason: str


class Executor(Protocol):
    """Does a task for many items."""

    def run(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item with what came of it, in the order of the items.

        An item that fails is yielded as a :class:`Failure` and the others are done. Items are taken only when
        their turn comes, so an iterator may depend on what was yielded before.

        Raises:
            BundleError: no item can be done without the model.
        """


class LocalExecutor:
    """Does items one after the other in this process; the networks themselves use all cores."""

    def run(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """See :class:`Executor`."""
        work = task.start()
        for item in items:
            raise_lost_interrupt()
            yield item, attempt(item.name, partial(work, item))


def attempt(name: str, work: Callable[[], Result]) -> Result | Failure:
    """Do ``work`` on one input and return what it returns, or why it failed.

    An unforeseen error is one input's failure too: in a batch of thousands, losing the rest would cost more.
    Its traceback goes to the log.

    Args:
        name: of the input, as the user gave it.
        work: what to do.

    Raises:
        BundleError: no input can be done without the model.
    """
    started = time.perf_counter()
    try:
        done = work()
    except BundleError:
        raise
    except ErythronError as error:
        log.info("%s: failed (%s)", name, error)
        return Failure(name, str(error))
    except OSError as error:
        log.info("%s: failed", name, exc_info=True)
        return Failure(name, f"{name}: {describe_os_error(error)}")
    except MemoryError:
        return Failure(name, f"{name}: not enough memory; cut the image into smaller fields")
    except Exception as error:
        log.exception("%s: unforeseen error", name)
        return Failure(
            name,
            as_text(
                f"{name}: unforeseen {type(error).__name__}: {error}; "
                "run again with --verbose and report the traceback"
            ),
        )
    log.info("%s: done in %.2f s", name, time.perf_counter() - started)
    return done


def log_outcome(name: str, outcome: object) -> None:
    """Log what came of an item that another process did, whose own log nobody sees.

    Args:
        name: of the item.
        outcome: what came of it.
    """
    if isinstance(outcome, Failure):
        log.info("%s: failed (%s)", name, outcome.reason)
    else:
        log.info("%s: done", name)
