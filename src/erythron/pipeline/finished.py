"""A finished count as it lies in its folder: its specimens, images and what it was told; counting it again.

In: the folder of a run. Out: what may be counted, recounted, reviewed or signed in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.differential.me_ratio import MERatio
from erythron.errors import ImageReadError, UsageError
from erythron.files.naming import as_text, find_named
from erythron.pipeline.count import CountRun, count_images, count_specimens
from erythron.pipeline.executor import Progress, no_progress
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.places import settle_places
from erythron.pipeline.specimens import Specimen, name_run
from erythron.read.image import ScaleSource
from erythron.read.inputs import InputImage
from erythron.results.fingerprint import hash_image
from erythron.results.record import RECORD, FieldRecord, read_record
from erythron.results.run import read_run, read_settings, read_specimens


@dataclass(frozen=True)
class FinishedRun:
    """A finished count as it lies in its folder.

    Attributes:
        names: of its specimens; None for a run that has none.
        specimens: with their images.
        folders: where the results of each image lie, by its path.
        options: what the count was told.
    """

    names: tuple[str, ...] | None
    specimens: tuple[Specimen, ...]
    folders: Mapping[Path, Path]
    options: RunOptions


def find_run(out: Path) -> FinishedRun:
    """Return what a folder holds of a finished count.

    Raises:
        UsageError: it holds none, or that of one specimen of a larger one.
    """
    told = read_settings(out)
    options = RunOptions(
        model=None if told.model is None else Path(told.model),
        mpp=told.mpp,
        reference=None if told.reference is None else Path(told.reference),
        width=told.width,
        runtime=RuntimeKind(told.runtime),
        me_ratio=MERatio(told.me_ratio),
        slides=SlideOptions(
            told.cells, told.whole, None if told.region is None else Path(told.region), told.seed
        ),
    )
    names, specimens = _find_specimens(out)
    specimens = settle_places(specimens, out)
    folders = {
        image.path: out / specimen.folder / image.place for specimen in specimens for image in specimen.images
    }
    _refuse_part_of_a_run(out)
    return FinishedRun(names, specimens, folders, options)


def count_again(finished: FinishedRun, out: Path, progress: Progress = no_progress) -> tuple[CountRun, ...]:
    """Count a run again into its folder; what is done stays, and images may have been added to it.

    Args:
        finished: the run.
        out: its folder.
        progress: called after each image.

    Returns:
        What is counted now, one a specimen.

    Raises:
        UsageError: another run writes there.
    """
    if finished.names is None:
        [whole] = finished.specimens
        return (count_images(whole.images, out, finished.options, progress),)
    return count_specimens(finished.specimens, out, finished.options, progress)


def _find_specimens(out: Path) -> tuple[tuple[str, ...] | None, tuple[Specimen, ...]]:
    """Return the specimens of a finished run with the folders in which their images' results lie."""
    stored = read_specimens(out)
    specimens = []
    for one in stored:
        counted = {}
        for path in sorted(one.folder.rglob(RECORD)):
            record = read_record(path.parent)
            if record is not None:
                counted[record.image] = _describe_counted(record, path.parent.relative_to(one.folder))
        places = {image.place for image in counted.values()}
        images = tuple(counted.get(image) or _place_uncounted(image, places) for image in one.images)
        specimens.append(
            Specimen(
                name_run(images) if one.name is None else one.name,
                images,
                one.folder.relative_to(out),
                one.details,
            )
        )
    named = [one.name for one in stored if one.name is not None]
    return (tuple(named) if named else None), tuple(specimens)


def _describe_counted(record: FieldRecord, place: Path) -> InputImage:
    """Return the image of a counted field, whose results lie at a place in the folder of its specimen."""
    return InputImage(
        find_named(record.image),
        place.with_name(place.name + Path(record.image).suffix),
        record.mpp if record.title and record.mpp_source is ScaleSource.OPTION else None,
        record.title,
    )


def _place_uncounted(image: str, taken: Set[Path]) -> InputImage:
    """Return an image of which nothing is counted, at a place where no results of another lie.

    Args:
        image: as the run names it.
        taken: places of those that are counted.
    """
    path = find_named(image)
    names = chain([path.name], (f"{path.stem}-{number}{path.suffix}" for number in count(2)))
    places = (InputImage(path, Path(name)) for name in names)
    return next(one for one in places if one.place not in taken)


def _refuse_part_of_a_run(out: Path) -> None:
    """Refuse the folder of one specimen, for the summary over all of them would be left as it was."""
    whole = read_run(out.resolve().parent)
    if whole is not None and out.resolve().name in whole.get("specimens", ()):
        raise UsageError(f"{out}: is one specimen of the run {out.resolve().parent}; recount that")


def need_pictures(folders: Mapping[Path, Path]) -> None:
    """Check that the picture of every counted field is where it was, before anything is written.

    Args:
        folders: where the results of each image lie, by its path.

    Raises:
        UsageError: one is gone or is another.
    """
    gone = []
    for image, folder in folders.items():
        record = read_record(folder)
        try:
            is_same = record is None or hash_image(image) == record.sha256
        except ImageReadError:
            is_same = False
        if not is_same:
            gone.append(image)
    if gone:
        more = "" if len(gone) == 1 else f", nor are {len(gone) - 1} more"
        raise UsageError(
            f"{as_text(gone[0])}: is not the picture that was counted, or is not there{more}; the report "
            "shows the pictures, so put them back, or recount in the folder where the count was run"
        )
