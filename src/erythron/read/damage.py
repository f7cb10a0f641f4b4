"""One error for whatever a decoder says of a broken file: it names the file, the cause and the next step."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from erythron.errors import ImageReadError

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    MemoryError,
    Image.DecompressionBombError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow, tifffile and imagecodecs raise on broken files."""


def explain_damage(path: Path, error: BaseException) -> ImageReadError:
    """Return the error that says what a decoder did not like, and what to do."""
    cause = str(error).strip().rstrip(".") or type(error).__name__
    return ImageReadError(
        f"{path}: the image is truncated, damaged or of a variant that is not read ({cause}); "
        "export or copy it again, as 8-bit PNG or TIFF if that does not help"
    )


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn what a decoder raises in the block into an :class:`~erythron.errors.ImageReadError`."""
    try:
        yield
    except ImageReadError:
        raise
    except DECODER_ERRORS as error:
        raise explain_damage(path, error) from error
