"""What makes two results the same result: the input's bytes, the settings, the model and the version.

A fingerprint is stored with every result, so that a later run knows what it may keep.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from erythron import __version__
from erythron.bundle.folder import CARD, Bundle
from erythron.errors import ImageReadError
from erythron.files import hashing


@dataclass(frozen=True)
class Settings:
    """What a result depends on besides the input's bytes.

    Attributes:
        task: the command's name, such as ``count``.
        mpp: microns per pixel given by the user, or None.
        model_sha256: hash of the bundle, or None where no model is used.
        variant: further options of the task, in a fixed order.
        version: erythron's version.
    """

    task: str
    mpp: float | None = None
    model_sha256: str | None = None
    variant: tuple[str, ...] = ()
    version: str = __version__


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal.

    Raises:
        ImageReadError: the file is not there or may not be read.
    """
    try:
        return hashing.hash_file(path)
    except OSError as error:
        raise unreadable(path, error) from error


def hash_bundle(bundle: Bundle) -> str:
    """Return one hash for a model: that of its ``model.json``, which holds those of its other files."""
    return hash_file(bundle.path / CARD)


def unreadable(path: Path, error: OSError) -> ImageReadError:
    """Return the error for a path that the system will not open, with the next step."""
    if isinstance(error, FileNotFoundError):
        return ImageReadError(f"{path}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return ImageReadError(f"{path}: is a folder where a file was expected; name the files in it")
    return ImageReadError(f"{path}: cannot be read ({error.strerror}); check its permissions")


def fingerprint(settings: Settings, *input_sha256: str) -> str:
    """Return one SHA-256 over settings and inputs, as hexadecimal."""
    text = json.dumps([asdict(settings), list(input_sha256)], sort_keys=True)
    return hashing.hash_text(text)
