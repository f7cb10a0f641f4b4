"""What a file may ask of its decoder: a few hundred kilobytes can keep one busy for minutes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from erythron.errors import ImageReadError

MAX_SCANS = 100
"""Scans of a JPEG, as libtiff allows: encoders write about ten, and each is decoded over all pixels."""

MAX_SCANNED_PX = 2_000_000_000
"""Pixels times scans of a JPEG: some five seconds of decoding; the largest image has thirty scans in it."""

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_LONGEST_TEXT = 1 << 16
_KEYWORD = 79
_PNG_HEAD = 8


def check_scans(path: Path, file: BinaryIO, pixels: int) -> None:
    """Refuse a JPEG of so many scans that decoding would not end soon, or without an end; the place stays.

    The marker of a scan cannot stand in coded pixels; a preview in the metadata may add a few. What a broken
    copy filled up with zeros decodes as a field that is grey from there on, so the end must be marked.

    Args:
        path: of the file, for the message.
        file: the file.
        pixels: of the image.

    Raises:
        ImageReadError: there are too many, or the end is missing.
    """
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    scans = content.count(_START_OF_SCAN)
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PX:
        raise ImageReadError(
            f"{path}: the JPEG has {scans} scans, which would take minutes to decode; save the image again"
        )
    first = _find_first_scan(content)
    if first is not None and content.find(_END_OF_IMAGE, first) < 0:
        raise ImageReadError(
            f"{path}: the image is truncated (its end is missing, as in a copy that broke off); copy it again"
        )


def _find_first_scan(content: bytes) -> int | None:
    """Return where the first scan of a JPEG begins, past the previews in its metadata; None if not told."""
    at = 2
    while content[at : at + 1] == b"\xff":
        marker = content[at : at + 2]
        if marker == _START_OF_SCAN:
            return at
        # Before a marker any number of 0xff may stand; all others here are followed by their length.
        at += 1 if marker == b"\xff\xff" else 2 + max(int.from_bytes(content[at + 2 : at + 4], "big"), 2)
    return None


def drop_texts(file: BinaryIO) -> BinaryIO:
    """Return a PNG without its long and packed texts, which Pillow may refuse and nothing here reads.

    Args:
        file: the PNG.

    Returns:
        The file itself at its start where it holds none of these, else its other chunks in memory.
    """
    spans: list[tuple[int, int]] = []
    file.seek(_PNG_HEAD)
    is_long = False
    while len(head := file.read(8)) == 8:
        length, start = int.from_bytes(head[:4], "big") + 12, file.tell() - 8
        if head[4:] in _PNG_TEXTS and (length > _LONGEST_TEXT or _is_packed(head[4:], file)):
            is_long = True
        else:
            spans.append((start, length))
        file.seek(start + length)
    file.seek(0)
    if not is_long:
        return file
    kept = io.BytesIO()
    kept.write(file.read(_PNG_HEAD))
    for start, length in spans:
        file.seek(start)
        kept.write(file.read(length))
    kept.seek(0)
    return kept


def _is_packed(kind: bytes, file: BinaryIO) -> bool:
    """Return whether the text that begins here is compressed, so that a short one may be of any length."""
    if kind != b"iTXt":
        return kind == b"zTXt"
    _, _, rest = file.read(_KEYWORD + 2).partition(b"\0")
    return rest[:1] == b"\x01"
