"""Calls of persons in the folder of a field that a count must not replace, or put on other cells.

In: an image and the folder where its results go. Out: a refusal, before anything is written.
"""

from __future__ import annotations

from pathlib import Path

from erythron.errors import ImageReadError, UsageError
from erythron.files.naming import as_text
from erythron.read.inputs import InputImage
from erythron.read.source import is_slide, open_source, read_whole
from erythron.results.edited import put_back_edited
from erythron.results.field import is_edited
from erythron.results.fingerprint import hash_image, hash_pixels
from erythron.results.record import CELLS, FieldRecord, read_record
from erythron.results.review import REVIEW
from erythron.review.record import DATABASE


def refuse_calls_of_another(image: InputImage, folder: Path, out: Path) -> None:
    """Refuse to count a picture into a folder where persons called the cells of another one.

    Calls are matched by the name and the place of a cell, which say nothing where the picture was turned, cut
    otherwise or is another one of the same name. One that was saved anew with the same pixels is the same.

    Args:
        image: to be counted.
        folder: where its results go.
        out: folder of the run, in which the database of the review page lies.

    Raises:
        UsageError: it is another picture.
    """
    files = [path for path in (folder / REVIEW, out / DATABASE) if path.exists()]
    record = read_record(folder) if files else None
    if record is not None and _is_another(image, record):
        named, them = " and ".join(map(as_text, files)), "it" if len(files) == 1 else "them"
        raise UsageError(
            f"{as_text(image.path)}: is not the picture of which {named} may hold calls of persons, which "
            f"would go to other cells; put that picture back, choose another --out, or move {them} away"
        )


def refuse_edited(folder: Path, record: FieldRecord) -> None:
    """Refuse to replace a table of cells that a person edited in its place.

    Raises:
        UsageError: it was changed since it was written.
    """
    put_back_edited(folder)
    if (folder / CELLS).exists() and is_edited(folder, record):
        raise UsageError(
            f"{folder / CELLS} was changed after the count: erythron recount takes it with "
            f"--labels {folder / CELLS}; --force counts again and loses the change"
        )


def _is_another(image: InputImage, record: FieldRecord) -> bool:
    try:
        if hash_image(image.path) == record.sha256:
            return False
        if is_slide(image.path) or record.slide is not None:
            return True
        return hash_pixels(read_whole(open_source(image.path)).rgb) != record.pixels_sha256
    except ImageReadError:
        return False  # it is said when it is to be counted, and what lies there stays
