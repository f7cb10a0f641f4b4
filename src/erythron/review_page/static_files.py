"""The files of the page, read once; a request chooses among their names and never forms a path."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page.

    Attributes:
        content: its bytes.
        kind: its media type.
    """

    content: bytes
    kind: str


def load_assets() -> dict[str, Asset]:
    """Return the files of the page by name."""
    found = {}
    for entry in files("erythron.review_page").joinpath("static").iterdir():
        for suffix, kind in _KINDS.items():
            if entry.name.endswith(suffix):
                found[entry.name] = Asset(entry.read_bytes(), kind)
    return found
