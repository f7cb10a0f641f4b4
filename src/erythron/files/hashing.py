"""SHA-256 of files and of content in memory: the only place that hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of a file's bytes in hexadecimal digits, 64 of SHA-256, read in blocks.

    Args:
        path: the file.
        algorithm: another name that :mod:`hashlib` knows, for a checksum that someone else has published.

    Raises:
        OSError: the file is not there or may not be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8 as 64 hexadecimal digits."""
    return hash_bytes(text.encode())
