"""Checksums of files and of content in memory, SHA-256 unless told otherwise: the only place that hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from erythron.files.reading import open_regular


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file's bytes as hexadecimal digits (64 for SHA-256), read in blocks.

    Args:
        path: the file.
        algorithm: name that :mod:`hashlib` knows, such as the ``md5`` of an archive's publisher.

    Raises:
        OSError: the file is not there, may not be read, or is a folder, pipe or device.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as 64 hexadecimal digits.

    A file name that is not UTF-8 counts by its own bytes.
    """
    return hash_bytes(text.encode("utf-8", "surrogateescape"))
