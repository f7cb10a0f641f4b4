"""Files that belong to a slide beside the one that names it: none of them is an input of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from erythron.files.reading import open_regular

_HAMAMATSU = (".vms", ".vmu")
_LONGEST_INDEX = 1 << 20
_SERIES = b"\x20\x00\x0e\x00UI"
_DICOM_HEAD = 1 << 16


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
    head = _read_head(path, _DICOM_HEAD)
    place = head.find(_SERIES)
    if head[128:132] != b"DICM" or place < 0:
        return b""
    start = place + len(_SERIES) + 2
    return head[start : start + int.from_bytes(head[start - 2 : start], "little")]
