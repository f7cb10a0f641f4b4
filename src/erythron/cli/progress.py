"""Progress and messages on stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.files.naming import as_text
from erythron.quality.flags import QualityFlag
from erythron.read.inputs import InputImage, search_images

if TYPE_CHECKING:
    from erythron.datasets.fetch import Download
    from erythron.pipeline.executor import PartsDone
    from erythron.pipeline.executor import Progress as ItemProgress

log = logging.getLogger(__name__)

stderr = Console(stderr=True, highlight=False, soft_wrap=True)

_EVERY_S = 10.0
"""Seconds between two lines of one stage in a log, so that a long one does not fill it."""

_MOST_NAMED = 10
"""Pictures that are left out are named up to so many, then counted."""


@contextmanager
def show_progress(title: str, total: int | None) -> Iterator[ItemProgress]:
    """Show a bar on stderr while the block runs.

    Yields:
        What to tell of each image that is done, and of the parts of slides.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(title, total=total)
        inner: list[TaskID] = []

        def advance(name: str, part: PartsDone | None = None, /) -> None:
            if part is None:
                bar.advance(task)
                while inner:
                    bar.remove_task(inner.pop())
                return
            log.info("%s: %s", name, part)
            if not inner:
                inner.append(bar.add_task(""))
            done, of = (part.done, part.total) if part.total is not None else (part.cells, part.cells_wanted)
            bar.update(inner[0], description=f"{Path(name).name}: {part}", completed=done, total=of)

        yield advance


@contextmanager
def show_stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar on stderr for each stage of what the block does; lines, where stderr is no terminal.

    Yields:
        A function to call with the stage's name, how much of it is done and how much there is.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_log = not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=is_log) as bar:
        tasks: dict[str, TaskID] = {}
        said: dict[str, float] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)
            now = time.monotonic()
            if is_log and (done == total or now - said.get(stage, -_EVERY_S) >= _EVERY_S):
                said[stage] = now
                stderr.print(f"{stage}: {done} of {total}", markup=False)

        yield advance


def gather_images(paths: Sequence[Path], out: Path | None = None) -> list[InputImage]:
    """Return the images that a command is to work on, and say which pictures in folders are left out.

    Args:
        paths: as given, files and folders.
        out: folder of the results, which is not searched.

    Raises:
        UsageError: a folder holds no image.
    """
    found = search_images(paths, out)
    for path, reason in found.left_out[:_MOST_NAMED]:
        stderr.print(f"left out: {as_text(path)} {reason}", markup=False)
    more = len(found.left_out) - _MOST_NAMED
    if more > 0:
        stderr.print(f"left out: {more} more pictures or folders of pictures", markup=False)
    return found.images


def show_failures(reasons: Sequence[str]) -> None:
    """Name every input that failed, with its reason."""
    for reason in reasons:
        stderr.print(f"failed: {reason}", markup=False, style="red")


def show_notice(text: str) -> None:
    """Say something that the user should know and that is no failure."""
    stderr.print(text, markup=False)


def show_left_behind(out: Path) -> None:
    """Say which results of an earlier run lie in the folder of a run that took its place."""
    from erythron.results.repeated import list_left_behind

    if left := list_left_behind(out):
        more = "" if len(left) == 1 else f", and {len(left) - 1} more,"
        show_notice(f"{left[0]}{more} is of an earlier run and in no count; move it away")


def show_flags(
    of_specimen: Sequence[QualityFlag],
    of_fields: Mapping[str, Sequence[QualityFlag]],
    specimen: str | None = None,
) -> None:
    """Say every quality flag: those of the specimen, then those that only the image of a field raised.

    That a field alone has few cells, or too few to tell what it shows, is no flag where there are several.

    Args:
        of_specimen: flags of all fields together.
        of_fields: flags of each field, by the name of its image.
        specimen: its name, where there are several.
    """
    for flag in of_specimen:
        place = "" if specimen is None else f" in {specimen}"
        stderr.print(f"{_say(flag)}{place}: {flag.text}", markup=False, style="yellow")
    said = {flag.name for flag in of_specimen} | {"too_few_cells", "specimen_not_told"}
    for image, flags in of_fields.items():
        for flag in flags:
            if flag.name not in said:
                stderr.print(f"{_say(flag)} in {image}: {flag.text}", markup=False, style="yellow")


def _say(flag: QualityFlag) -> str:
    return flag.name.replace("_", " ")


def show_runtime(kind: RuntimeKind) -> None:
    """Say where the networks are computed, unless that is what it always is.

    Raises:
        MissingExtraError: the runtime is not installed.
    """
    if kind is not RuntimeKind.OPENVINO:
        from erythron.bundle.loading import describe_device

        stderr.print(f"networks computed in {describe_device(kind)}", markup=False)


def show_downloads(downloads: Sequence[Download]) -> None:
    """Say of every download how large it is and how much of it an earlier try has left."""
    for download in downloads:
        here = f", {decimal(download.have)} of it here" if download.have else ""
        size = _say_size(download.total)
        stderr.print(f"to fetch: {download.name}, {size}{here}, from {download.url}", markup=False)
    if len(downloads) > 1:
        known = [d.total - d.have for d in downloads if d.total is not None]
        more = len(downloads) - len(known)
        rest = f", and {more} of unknown size" if more else ""
        stderr.print(f"to fetch: {decimal(sum(known))} in all{rest}", markup=False)


def _say_size(total: int | None) -> str:
    return (
        "of unknown size (neither its publisher nor the server states it)"
        if total is None
        else decimal(total)
    )


@contextmanager
def show_bytes(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a download on stderr while the block runs.

    Yields:
        A function to call with the bytes that are there and the bytes expected, None where that is not known.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
