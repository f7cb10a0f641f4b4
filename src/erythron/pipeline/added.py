"""An image joins a finished run: counted with the settings and the model of that run, into its folder.

In: the folder of a run and a picture that a program sent. Out: the results of the picture beside the others,
with summary, report and ``run.json`` of the run made anew. A picture that cannot be counted leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from erythron.errors import UsageError
from erythron.files.locking import lock_folder
from erythron.files.naming import as_text
from erythron.pipeline.count_worker import CountJob, CountTask
from erythron.pipeline.executor import Failure, attempt
from erythron.pipeline.finished import count_again, find_run, need_pictures
from erythron.pipeline.places import settle_images
from erythron.read.inputs import InputImage
from erythron.read.source import is_slide

UPLOADS = "uploads"
"""Folder in that of a run where pictures lie that programs sent."""


@dataclass(frozen=True)
class NewImage:
    """A picture that is to join a run.

    Attributes:
        path: of the file, which nothing moves any more.
        specimen: key of the specimen in the run, see :attr:`erythron.pipeline.specimens.Specimen.key`.
        title: what readers are shown in place of the path; not empty.
        mpp: microns per pixel; None where the settings of the run hold.
    """

    path: Path
    specimen: str
    title: str
    mpp: float | None = None


def add_image(out: Path, new: NewImage) -> Failure | None:
    """Count one more image into a finished run.

    What was done before an interruption is kept when it is called again. Pixels that the specimen has already
    are counted once, as in every run, and the report says so.

    Args:
        out: folder of the run.
        new: the image.

    Returns:
        Why it could not be counted, and then the run is as before; None where it is counted.

    Raises:
        FolderBusyError: another run writes into the folder now.
        UsageError: the folder holds no finished count, has no such specimen, or one of its pictures is gone.
        BundleError: the model of the run cannot be used.
    """
    if is_slide(new.path):
        reason = "is a slide, and pictures that are sent are fields; count it with erythron count"
        return Failure(as_text(new.path), f"{as_text(new.path)}: {reason}")
    finished = find_run(out)
    number = next((n for n, one in enumerate(finished.specimens) if one.key == new.specimen), None)
    if number is None:
        raise UsageError(f"{out}: has no specimen '{new.specimen}'; send the picture to one that it has")
    need_pictures(finished.folders)
    specimen = finished.specimens[number]
    if new.path in finished.folders:
        image = next(i for i in specimen.images if i.path == new.path)
    else:
        image = InputImage(new.path, Path(new.path.name), new.mpp, new.title)
        [*_, image] = settle_images((*specimen.images, image), out / specimen.folder)
    job = CountJob(image, out / specimen.folder / image.place, 0)
    with lock_folder(out):
        found = attempt(image.name, partial(CountTask(finished.options).start(), job))
    if isinstance(found, Failure):
        return found
    if image not in specimen.images:
        specimen = replace(specimen, images=(*specimen.images, image))
        grown = (*finished.specimens[:number], specimen, *finished.specimens[number + 1 :])
        finished = replace(finished, specimens=grown)
    others = {other.name for other in specimen.images if other is not image}
    failures = count_again(finished, out)[number].failures
    return next((failure for failure in failures if failure.image not in others), None)
