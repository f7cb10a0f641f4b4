"""Files that belong to a slide beside the one that names it: none of them is an input of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from erythron.files.reading import open_regular

_HAMAMATSU = (".vms", ".vmu")
_LONGEST_INDEX = 1 << 20
_SERIES = b"\x20\x00\x0e\x00UI"
_DICOM_HEAD = 1 << 16
_DICOM_START = (128, b"DICM")


def find_companions(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return which of the files and folders of one folder belong to a slide among them, and to which.

    These are the folder beside an ``.mrxs``, the pictures that a ``.vms`` or ``.vmu`` lists, and the files of
    a DICOM series but the first by name. What cannot be read belongs to none: reading it says why.

    Args:
        paths: what lies in the folder, or was given by name.
    """
    found: dict[Path, Path] = {}
    series: dict[tuple[Path, bytes], Path] = {}
    for path in sorted(paths):
        suffix = path.suffix.lower()
        if suffix == ".mrxs":
            found[path.with_suffix("")] = path
        elif suffix in _HAMAMATSU:
            found |= dict.fromkeys(_list_pictures(path), path)
        elif suffix == ".dcm" and (uid := _read_series(path)):
            first = series.setdefault((path.parent, uid), path)
            if first != path:
                found[path] = first
    return found


def list_slide_files(path: Path) -> tuple[Path, ...]:
    """Return every file that makes up an image: itself first, then by name what belongs to it.

    These are the files in the folder beside an ``.mrxs``, the pictures that a ``.vms`` or ``.vmu`` lists, and
    the other files of a DICOM series; of all other images there is one.

    Args:
        path: of the file that names the image.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return (path, *_list_files(path.with_suffix("")))
    if suffix in _HAMAMATSU:
        return (path, *sorted(part for part in set(_list_pictures(path)) if part.is_file()))
    uid = _read_series(path)
    if not uid:
        return (path,)
    others = (other for other in sorted(path.parent.iterdir()) if other != path and other.is_file())
    return (path, *(other for other in others if _read_series(other) == uid))


def _list_files(folder: Path) -> list[Path]:
    return sorted(found for found in folder.rglob("*") if found.is_file()) if folder.is_dir() else []


def _read_head(path: Path, length: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(length)
    except OSError:
        return b""


def _list_pictures(path: Path) -> list[Path]:
    lines = _read_head(path, _LONGEST_INDEX).decode("utf-8", "replace").splitlines()
    names = [line.partition("=")[2].strip() for line in lines if "=" in line]
    return [path.parent / name for name in names if name and "/" not in name and "\\" not in name]


def _read_series(path: Path) -> bytes:
    """Return the SeriesInstanceUID of a DICOM file in explicit little endian, as slides are; else nothing."""
    if _read_head(path, _DICOM_START[0] + 4)[_DICOM_START[0] :] != _DICOM_START[1]:
        return b""
    head = _read_head(path, _DICOM_HEAD)
    place = head.find(_SERIES)
    if place < 0:
        return b""
    start = place + len(_SERIES) + 2
    return head[start : start + int.from_bytes(head[start - 2 : start], "little")]
