"""Which of the images of a specimen that show the same pixels is counted.

In: folders of counted images. Out: those of them that counts, exports and comparisons take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from erythron.results.record import read_record
from erythron.results.review import REVIEW
from erythron.results.run import RUN, read_run


def has_calls(folder: Path) -> bool:
    """Return whether persons have called cells of an image: of the same pixels it is the one that counts."""
    return (folder / REVIEW).exists()


def drop_repeated(folders: Iterable[Path], out: Path) -> list[Path]:
    """Return the folders of images without those that show the pixels of another one of their specimen.

    Of the same pixels the image that persons have called counts, else the first as the run was given them.
    Images of two specimens are kept: which of the two they are of is for a person to find out.

    Args:
        folders: of images, each with its record or without.
        out: what they lie in: a run, a specimen of one, or a folder of runs.
    """

    @cache
    def list_inputs(specimen: Path) -> Sequence[str]:
        return tuple((read_run(specimen) or {}).get("inputs", ()))

    folders = list(folders)
    first: dict[tuple[Path, str], tuple[bool, int, int]] = {}
    keys: list[tuple[Path, str] | None] = []
    for number, folder in enumerate(folders):
        record = read_record(folder)
        if record is None:
            keys.append(None)
            continue
        specimen = _find_specimen(folder, out)
        inputs = list_inputs(specimen)
        place = inputs.index(record.image) if record.image in inputs else len(inputs)
        key = (specimen, record.pixels_sha256)
        rank = (not has_calls(folder), place, number)
        first[key] = min(first.get(key, rank), rank)
        keys.append(key)
    return [
        folder
        for number, (folder, key) in enumerate(zip(folders, keys, strict=True))
        if key is None or first[key][2] == number
    ]


def _find_specimen(folder: Path, out: Path) -> Path:
    """Return the nearest folder above, up to ``out``, that has the record of a run."""
    for above in folder.parents:
        if above == out or (above / RUN).exists():
            return above
    return out
