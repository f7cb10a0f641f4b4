"""A table of cells that a person edited in its place, kept until a recount has taken what it says.

To read what was edited the table as it was counted is needed, so the field is counted again over it. Whatever
ends that run before the person's calls are in the review, an unknown class or a power cut, must not take the
edits along: they may be hours of work.
"""

from __future__ import annotations

import os
from pathlib import Path

from erythron.files.reading import read_content
from erythron.files.writing import write_file
from erythron.results.record import CELLS

EDITED = f".{CELLS}.edited"
"""The edited table while its field is counted again; a folder that is replaced keeps it."""


def keep_edited(folder: Path) -> None:
    """Keep a copy of the table of a field, which is about to be replaced."""
    write_file(folder / EDITED, read_content(folder / CELLS))


def put_back_edited(folder: Path) -> None:
    """Put an edited table back in its place, where a run that was to take it failed or was killed."""
    if os.path.lexists(folder / EDITED):
        (folder / EDITED).replace(folder / CELLS)


def drop_edited(folder: Path) -> None:
    """Remove the copy: what the table says is taken."""
    (folder / EDITED).unlink(missing_ok=True)
