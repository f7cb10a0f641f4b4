"""Which of the images of a specimen that show the same pixels is counted.

In: folders of counted images. Out: those of them that counts, exports and comparisons take.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from erythron.files.naming import as_text
from erythron.results.record import RECORD, read_record
from erythron.results.review import REVIEW
from erythron.results.run import RUN, read_run


def has_calls(folder: Path) -> bool:
    """Return whether persons have called cells of an image: of the same pixels it is the one that counts."""
    return (folder / REVIEW).exists()


def drop_repeated(folders: Iterable[Path], out: Path) -> list[Path]:
    """Return the folders of images without those that show the pixels of another one of their specimen.

    Of the same pixels the image that persons have called counts, else the first as the run was given them.
    Images of two specimens are kept: which of the two they are of is for a person to find out. Folders that
    lie in that of a run and are none of its images are left out: those of a specimen that was called
    otherwise, of an image that moved to another specimen, of a copy of the run.

    Args:
        folders: of images, each with its record or without.
        out: what they lie in: a run, a specimen of one, or a folder of runs.
    """
    listed = _Listed(out)
    folders = list(folders)
    first: dict[tuple[Path, str], tuple[bool, int, int]] = {}
    keys: list[tuple[Path, str] | None] = []
    for number, folder in enumerate(folders):
        record = read_record(folder)
        if record is None:
            keys.append(None)
            continue
        specimen = _find_specimen(folder, out)
        key = (specimen, record.pixels_sha256)
        keys.append(key)
        if listed.has(folder, record.image):
            places = listed.number_inputs(specimen)
            rank = (not has_calls(folder), places.get(record.image, len(places)), number)
            first[key] = min(first.get(key, rank), rank)
    return [
        folder
        for number, (folder, key) in enumerate(zip(folders, keys, strict=True))
        if key is None or (key in first and first[key][2] == number)
    ]


def list_left_behind(out: Path) -> list[Path]:
    """Return the folders of images that lie in the folder of a run and are in no count of it, sorted."""
    listed = _Listed(out)
    return [
        path.parent
        for path in sorted(out.rglob(RECORD))
        if (record := read_record(path.parent)) is not None and not listed.has(path.parent, record.image)
    ]


class _Listed:
    """Which images the runs in a folder count; each record of a run is read once.

    Args:
        out: a run, a specimen of one, or a folder of runs.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._read = cache(read_run)
        self.number_inputs = cache(self._number_inputs)
        self._is_part = cache(self._judge)

    def _number_inputs(self, specimen: Path) -> dict[str, int]:
        """Return the images of a specimen or run with their places; none where it has no record."""
        inputs = (self._read(specimen) or {}).get("inputs", ())
        return {name: place for place, name in enumerate(inputs)}

    def has(self, folder: Path, image: str) -> bool:
        """Return whether an image whose results lie in a folder is counted by the run that it lies in."""
        specimen = _find_specimen(folder, self._out)
        inputs = self.number_inputs(specimen)
        run = self._read(specimen) or {}
        if "specimens" in run and specimen in folder.parents:
            place = as_text(folder.relative_to(specimen).as_posix())
            if not any(place.startswith(f"{name}/") for name in run["specimens"]):
                return False  # of a run without specimens, into the same folder
        return (not inputs or image in inputs) and self._is_part(specimen)

    def _judge(self, specimen: Path) -> bool:
        """Return whether a folder with the record of a run is of the run above it, if one is."""
        if self._out not in specimen.parents:  # what lies above was not asked for
            return True
        for above in specimen.parents:
            run = self._read(above)
            if run is not None:
                name = as_text(specimen.relative_to(above).as_posix())
                return name in run.get("specimens", ()) and self._is_part(above)
            if above == self._out:
                break
        return True


def _find_specimen(folder: Path, out: Path) -> Path:
    """Return the nearest folder above, up to ``out``, that has the record of a run."""
    for above in folder.parents:
        if above == out or (above / RUN).exists():
            return above
    return out
