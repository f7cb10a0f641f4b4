"""The errors that erythron raises on purpose.

Each is also the built-in that it specialises, so that a caller may catch either. A message names the thing
that failed (mostly a file), why, and what to do next.
"""


class ErythronError(Exception):
    """Base of every error that erythron raises on purpose."""


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
