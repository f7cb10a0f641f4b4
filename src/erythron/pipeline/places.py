"""Where in the output folder the results of each image go, so that no two are written to one place.

In: images as they were found, and what lies in the output folder. Out: a place for each.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from erythron.errors import UsageError
from erythron.files.naming import fold_name
from erythron.pipeline.executor import Named
from erythron.pipeline.specimens import Specimen
from erythron.read.inputs import InputImage
from erythron.results.record import read_record

_NEXT_STEP = "rename one, give the folder that holds both, or give them in separate runs with different --out"


@dataclass(frozen=True)
class PlaceChoice:
    """The two places that an image's results may have, relative to the output folder.

    Attributes:
        usual: by the image's name without its suffix.
        full: by its whole name, taken where another image has the usual one.
        is_there: whether there is such an image, so that something will be written.
    """

    usual: Path
    full: Path
    is_there: bool


def choose_places(choices: Sequence[PlaceChoice], is_of: Callable[[int, Path], bool]) -> list[Path]:
    """Return a place for each image: the usual one, or that of its whole name where others have the usual.

    Images may join a run later: one whose results lie in one of its two places keeps that place. Inputs of
    which even the whole names are alike are left to :func:`check_distinct`.

    Args:
        choices: of each image.
        is_of: whether the results at a place are of the image of that number; False where nothing is there.
    """
    chosen = [
        one.full if one.full != one.usual and is_of(n, one.full) else one.usual
        for n, one in enumerate(choices)
    ]
    while moved := [n for n in _list_clashing(chosen, choices) if not is_of(n, chosen[n])]:
        for n in moved:
            chosen[n] = choices[n].full
    return chosen


def _list_clashing(chosen: Sequence[Path], choices: Sequence[PlaceChoice]) -> list[int]:
    """Return the images that have another place left, and now one that another has or has a part of."""
    keys = [_fold(place) for place in chosen]
    written = [key for key, one in zip(keys, choices, strict=True) if one.is_there]
    taken, above = Counter(written), {parent for key in written for parent in key.parents}
    return [
        n
        for n, (key, one) in enumerate(zip(keys, choices, strict=True))
        if chosen[n] != one.full and (taken[key] > int(one.is_there) or key in above)
    ]


def settle_places(specimens: Sequence[Specimen], out: Path) -> tuple[Specimen, ...]:
    """Return specimens whose images have places of their own, see :func:`choose_places`.

    Args:
        specimens: of a run.
        out: folder of the run.
    """
    every = [(specimen, image) for specimen in specimens for image in specimen.images]
    choices = [
        PlaceChoice(one.folder / image.place, one.folder / image.relative, image.is_there)
        for one, image in every
    ]
    places = choose_places(choices, lambda n, place: _is_result_of(out / place, every[n][1]))
    settled = iter(
        replace(image, folder=place.relative_to(one.folder)) if place != choice.usual else image
        for (one, image), choice, place in zip(every, choices, places, strict=True)
    )
    return tuple(replace(one, images=tuple(next(settled) for _ in one.images)) for one in specimens)


def settle_images(images: Sequence[InputImage], out: Path) -> tuple[InputImage, ...]:
    """Return the images of a run without specimens with places of their own, see :func:`settle_places`."""
    [whole] = settle_places([Specimen("", tuple(images), Path())], out)
    return whole.images


def _is_result_of(folder: Path, image: InputImage) -> bool:
    record = read_record(folder)
    return record is not None and record.image == image.name


def check_distinct(outputs: Sequence[tuple[Named, Path]]) -> None:
    """Refuse inputs that would be written to one place, or one into the folder of another.

    Args:
        outputs: each input with where its result goes, relative to the output folder.

    Raises:
        UsageError: names two inputs and the output that both would have.
    """
    seen: dict[Path, Named] = {}
    for image, output in outputs:
        key = _fold(output)
        if key in seen:
            raise UsageError(
                f"{seen[key].name} and {image.name} would both be written to '{output}'; {_NEXT_STEP}"
            )
        seen[key] = image
    for image, output in outputs:
        for above in _fold(output).parents:
            if above in seen:
                raise UsageError(
                    f"{image.name} would be written into '{above}', the results of {seen[above].name}; "
                    "rename one, or give them in separate runs with different --out"
                )


def _fold(output: Path) -> Path:
    """Return a path that is alike for all names which the system's usual drives take for one."""
    if sys.platform not in {"darwin", "win32"}:
        return output
    return Path(*(fold_name(part).casefold() for part in output.parts))
