"""How far a long call is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Say nothing."""
