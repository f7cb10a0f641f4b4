"""What a console can show: text goes out on any of them, in another spelling where signs are missing."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

_SPELLINGS = {
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "µ": "u",
    "μ": "u",
    "≥": ">=",
    "≤": "<=",
    "±": "+/-",
    "…": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "→": "->",
}
_HANDLER = "erythron.spell"


def make_writable(*streams: TextIO) -> None:
    """Let streams take every text: a sign that their encoding lacks is spelled in ASCII.

    Consoles of Windows have code pages such as cp437 or cp932, and a pipe has ASCII where no locale is set.
    """
    codecs.register_error(_HANDLER, _spell)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell_sign, error.object[error.start : error.end])), error.end


def _spell_sign(sign: str) -> str:
    if sign in _SPELLINGS:
        return _SPELLINGS[sign]
    if "BOX DRAWINGS" in (name := unicodedata.name(sign, "")):
        return "|" if name.endswith("VERTICAL") else "-" if name.endswith("HORIZONTAL") else "+"
    bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode("ascii")
    return bare or sign.encode("ascii", "backslashreplace").decode("ascii")
