"""The errors that erythron raises on purpose.

Each is also the built-in that it specialises, so that a caller may catch either. A message names the thing
that failed (mostly a file), why, and what to do next. It is one line of text that can be written anywhere,
whatever the names of files in it hold.
"""

from __future__ import annotations

import errno

from erythron.files.naming import as_text


class ErythronError(Exception):
    """Base of every error that erythron raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(as_text(message))


class UsageError(ErythronError, ValueError):
    """The options or inputs of a command contradict each other or the state of the output folder."""


class ImageReadError(ErythronError, OSError):
    """An image file is missing, empty, broken, of no known format, too small or too large."""


class SpecimenError(ErythronError, ValueError):
    """A picture shows something else than a smear, so that a count of it would mean nothing."""


class BundleError(ErythronError, ValueError):
    """A model bundle is incomplete, breaks its schema, or does not reproduce its stored probabilities."""


class DataError(ErythronError, ValueError):
    """A data set or its labels are not laid out as its reader expects."""


class MissingExtraError(ErythronError, ImportError):
    """A command needs an optional part that is not installed.

    Args:
        extra: name of the extra, such as ``train``.
        purpose: what it is needed for, as the end of "is needed to …".
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(
            f"erythron[{extra}] is needed to {purpose}; install it with: pip install 'erythron[{extra}]'"
        )


class BrowserError(ErythronError, RuntimeError):
    """No Chromium is found, or it could not print a page."""


_NEXT_STEPS = {
    errno.ENOSPC: "make room on the disk and give the same command again",
    errno.EDQUOT: "make room on the disk and give the same command again",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EROFS: "the drive can only be read; choose another folder",
    errno.EEXIST: "a file is where a folder should be; choose another name",
    errno.ENOTDIR: "a file is where a folder should be; choose another name",
    errno.EISDIR: "a folder is where a file should be; choose another name",
    errno.ENAMETOOLONG: "the name is too long for this drive; rename it",
}


def describe_os_error(error: OSError) -> str:
    """Return what the operating system refused, of which file, and what to do next, as one line."""
    reason = error.strerror or str(error) or type(error).__name__
    place = "" if error.filename is None else f"{error.filename}: "
    step = _NEXT_STEPS.get(error.errno or 0)
    return as_text(f"{place}{reason}" + (f"; {step}" if step else ""))
