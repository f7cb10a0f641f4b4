"""Works done one after the other, each begun while what the one before it returned is still being used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def look_ahead(works: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what each of some works returns, in their order, while a thread does the next one.

    It pays where one side waits for a network, which computes outside Python. At most one result waits, so
    memory does not grow with their number. An error of a work is raised where its result would be yielded.
    """
    pending: Future[Result] | None = None
    with ThreadPoolExecutor(max_workers=1) as beside:
        for work in works:
            done, pending = pending, beside.submit(work)
            if done is not None:
                yield done.result()
        if pending is not None:
            yield pending.result()
