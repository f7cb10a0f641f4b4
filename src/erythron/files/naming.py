"""Names of files as text: what tables, pages and messages call a file whose name may hold any bytes."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

_ESCAPED = re.compile(r"\\(?:x([01789][0-9a-f])|u(dc[0-9a-f]{2}|202[89]))")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def as_text(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text that every table, JSON file and message can hold, on one line.

    A name need not be UTF-8, and may hold line ends or codes that steer a terminal. What is not text stands
    as ``\udcff`` or ``\x1b``; every other name is returned as it is.

    >>> as_text("a\nb.png"), as_text("b\udcff.png")
    ('a\\x0ab.png', 'b\\udcff.png')
    """
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def find_named(text: str) -> Path:
    r"""Return the file whose path :func:`as_text` gave as this text.

    A file that is really called ``b\udcff.png``, letter by letter, comes before one of those bytes. Where
    neither is there, the path is as the text says.
    """
    plain = Path(text)
    if plain.exists():
        return plain
    told = Path(_ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text))
    return told if as_text(told) == text and told.exists() else plain


def fold_name(name: str) -> str:
    """Return a name in one of the forms that Unicode allows, so that equal-looking names are equal.

    macOS writes ``é`` as two code points, which other systems and web pages write as one (NFC).
    """
    return unicodedata.normalize("NFC", name)
