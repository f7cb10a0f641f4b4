"""The images of a run as one stream of work: fields whole, slides that are counted whole as their tiles.

An executor sees items alone, so readers, networks and writers of many images and tiles are kept busy without
a pause between them; here what comes back is put together to one outcome an image, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from erythron.pipeline.count_worker import CountJob, CountTask, CountWorker, DoneField
from erythron.pipeline.executor import Executor, Failure, PartsDone, Progress, Task, attempt, no_progress
from erythron.pipeline.slides.counter import DividedSlide, TileDone, TileJob
from erythron.read.source import is_slide

Outcome = DoneField | Failure


@dataclass
class _Pending:
    """An image whose outcome is not there yet.

    Attributes:
        job: it.
        divided: its tiles, or how it ended before there were any; None for an image that is one item.
        done: how many of its tiles are done, in earlier runs too.
        cells: counted on them.
        failure: of a tile.
    """

    job: CountJob
    divided: DividedSlide | Outcome | None = None
    done: int = 0
    cells: int = 0
    failure: Failure | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all its tiles are done."""
        return isinstance(self.divided, DividedSlide) and self.done == len(self.divided.tiles)


class CountStream:
    """Counts images one after the other, with whatever an executor does at once.

    Args:
        task: the count.
    """

    def __init__(self, task: CountTask) -> None:
        self._task = task
        self._progress: Progress = no_progress
        self._pending: deque[_Pending] = deque()

    @cached_property
    def worker(self) -> CountWorker:
        """Counts in this process; it plans slides and puts them together."""
        return self._task.start()

    def run(
        self, jobs: Iterable[CountJob], executor: Executor, progress: Progress
    ) -> Iterator[tuple[CountJob, Outcome]]:
        """Yield each image with what came of it, in order.

        Args:
            jobs: the images.
            executor: where they are counted.
            progress: told of every image and tile.

        Raises:
            BundleError: the model cannot be used.
        """
        self._progress = progress
        items: Iterator[CountJob | TileJob] = self._expand(jobs)
        task: Task[CountJob | TileJob, DoneField | TileDone] = self._task.telling(progress)
        for item, outcome in executor.run(task, items):
            # Slides of which no tile was left to do are passed before the next item comes back.
            while self._pending[0].job.folder != item.folder:
                yield self._settle()
            first = self._pending[0]
            if not isinstance(item, TileJob):
                first.divided = outcome if not isinstance(outcome, TileDone) else None
                yield self._settle()
                continue
            if isinstance(outcome, Failure):
                first.failure = first.failure or outcome
                continue
            first.done += 1
            first.cells += outcome.counted_cells if isinstance(outcome, TileDone) else 0
            if isinstance(first.divided, DividedSlide):
                tiles = len(first.divided.tiles)
                self._progress(item.name, PartsDone("tile", first.done, tiles, first.cells))
            if first.is_complete:
                yield self._settle()
        while self._pending:
            yield self._settle()

    def _expand(self, jobs: Iterable[CountJob]) -> Iterator[CountJob | TileJob]:
        for job in jobs:
            here = _Pending(job)
            self._pending.append(here)
            if self._task.options.slides.is_sampled or not is_slide(job.image.path):
                yield job
                continue
            here.divided = attempt(job.name, partial(self.worker.divide, job))
            if isinstance(here.divided, DividedSlide):
                here.done = len(here.divided.tiles) - len(here.divided.jobs)
                here.cells = here.divided.cells_before
                for tile in here.divided.jobs:
                    if here.failure is not None:
                        break  # the slide cannot be finished any more
                    yield tile

    def _settle(self) -> tuple[CountJob, Outcome]:
        """Return the outcome of the first image that waits for one."""
        first = self._pending.popleft()
        self._progress(first.job.name)
        found = first.divided
        if isinstance(found, DividedSlide):
            if first.failure is not None:
                return first.job, first.failure
            return first.job, attempt(first.job.name, partial(self.worker.finish, found))
        if found is None:
            raise RuntimeError(f"{first.job.name} gave no outcome")
        return first.job, found
