"""Progress and messages on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def show_progress(title: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr while the block runs.

    Yields:
        A function to call with each image's name when it is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda _: bar.advance(task)


def show_failures(reasons: Sequence[str]) -> None:
    """Name every input that failed, with its reason."""
    for reason in reasons:
        stderr.print(f"failed: {reason}", markup=False, style="red")
