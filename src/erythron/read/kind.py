"""Which reader an image file needs, told by its content, and by its suffix where the content does not say."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO

from erythron.files.reading import open_regular
from erythron.read.damage import naming_damage
from erythron.read.fields import HEAD, MAX_PIXELS, TIFF_STARTS, explain_refusal

OPENSLIDE_SUFFIXES = (".mrxs", ".svslide", ".vms", ".vmu")
"""Slides that begin like other files: 3DHISTECH's like a JPEG, Sakura's a database, Hamamatsu's a text."""

_DICOM = (128, b"DICM")
_TRESTLE = "MedScan"
_PILLOW_LACKS = frozenset({33003, 33004, 33005, 34712})
_APERIO_YCBCR = 33003


class FileKind(Enum):
    """Which reader takes a file."""

    FIELD = auto()
    TIFF_SLIDE = auto()
    OPENSLIDE = auto()


def find_kind(path: Path) -> FileKind:
    """Return which reader a file needs.

    A TIFF of up to ``MAX_PIXELS`` is a field, a larger one a slide that is read here. OpenSlide takes what
    scanners write in forms of their own: Hamamatsu, Leica, Ventana and Trestle TIFF, Aperio TIFF of YCbCr in
    JPEG 2000, DICOM, and ``OPENSLIDE_SUFFIXES``.

    Raises:
        ImageReadError: the file is missing, may not be read, or is a damaged TIFF.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise explain_refusal(path, error) from None
    with file:
        start = file.read(HEAD)
        file.seek(0)
        if path.suffix.lower() in OPENSLIDE_SUFFIXES or start[_DICOM[0] :] == _DICOM[1]:
            return FileKind.OPENSLIDE
        if not start.startswith(TIFF_STARTS):
            return FileKind.FIELD
        with naming_damage(path):
            return _find_tiff_kind(path, file)


def _find_tiff_kind(path: Path, file: BinaryIO) -> FileKind:
    # tifffile costs a tenth of a second to import, which other files need not pay.
    import tifffile

    from erythron.read.tiff import find_planes

    with tifffile.TiffFile(file, name=path.name) as tiff:
        base = find_planes(tiff)[0]
        made_by = str(tiff.pages[0].aspage().software)
        if (
            tiff.is_ndpi
            or tiff.is_scn
            or tiff.is_bif
            or made_by.startswith(_TRESTLE)
            or base.compression == _APERIO_YCBCR
        ):
            return FileKind.OPENSLIDE
        if base.imagewidth * base.imagelength > MAX_PIXELS or base.compression in _PILLOW_LACKS:
            return FileKind.TIFF_SLIDE
        return FileKind.FIELD
