"""One loop for every command that takes many images: a bad one is named, the others are done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from erythron.errors import BundleError, ErythronError, UsageError
from erythron.read.inputs import InputImage

log = logging.getLogger(__name__)

Result = TypeVar("Result")

Progress = Callable[[str], None]
"""Called after each image with its name."""


def no_progress(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that names cells.

    Attributes:
        model: bundle folder, or None for the shipped one.
        mpp: microns per pixel of all images, or None to take them from the files.
        force: do everything again and replace what is there.
        reference: file of reference ranges, or None for the shipped ones; of a count only.
        width: of a stage's interval that "count more" aims at, 0 to 1; of a count only.
    """

    model: Path | None = None
    mpp: float | None = None
    force: bool = False
    reference: Path | None = None
    width: float = 0.05


@dataclass(frozen=True)
class Failure:
    """An input that could not be done, and why.

    Attributes:
        image: the path as given.
        reason: cause and next step, one line.
    """

    image: str
    reason: str


def run_batch(
    inputs: Sequence[InputImage], work: Callable[[InputImage], None], progress: Progress = no_progress
) -> tuple[Failure, ...]:
    """Do ``work`` for every input in order and return those that failed.

    An unforeseen error is one input's failure too: in a batch of thousands, losing the rest would cost
    more. Its traceback goes to the log.
    """
    failures = []
    for image in inputs:
        outcome = attempt(str(image.path), partial(work, image))
        if isinstance(outcome, Failure):
            failures.append(outcome)
        progress(str(image.path))
    return tuple(failures)


def attempt(name: str, work: Callable[[], Result]) -> Result | Failure:
    """Do ``work`` on one input and return what it returns, or why it failed.

    Args:
        name: of the input, as the user gave it.
        work: what to do.

    Raises:
        BundleError: no input can be done without the model.
    """
    try:
        return work()
    except BundleError:
        raise
    except ErythronError as error:
        return Failure(name, str(error))
    except MemoryError:
        return Failure(name, f"{name}: not enough memory; cut the image into smaller fields")
    except Exception as error:
        log.exception("%s: unforeseen error", name)
        return Failure(
            name,
            f"{name}: unforeseen {type(error).__name__}: {error}; "
            "run again with --verbose and report the traceback",
        )


def check_distinct(outputs: Sequence[tuple[InputImage, Path]]) -> None:
    """Refuse inputs that would be written to one place.

    Args:
        outputs: each input with where its result goes, relative to the output folder.

    Raises:
        UsageError: names two inputs and the output that both would have.
    """
    seen: dict[Path, InputImage] = {}
    for image, output in outputs:
        if output in seen:
            raise UsageError(
                f"{seen[output].path} and {image.path} would both be written to '{output}'; "
                "rename one, or give them in separate runs with different --out"
            )
        seen[output] = image
