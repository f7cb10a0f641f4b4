"""erythron: counts erythroid precursors in bone-marrow smears by maturation stage.

:func:`count` counts an image, :class:`Counter` many; see ``docs/api.md``. A cell is followed from file to
report through the folders in this order: ``read``, ``segment``, ``shape``, ``classify``, ``differential``,
``report`` and ``interchange``. Importing the package imports none of them: the names of the interface are
loaded when they are first used. Research use only: a qualified person confirms the calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erythron.api import Counter, Failure, Result, count

__all__ = ["Counter", "Failure", "Result", "__version__", "count"]

__version__ = "0.1.0"

_INTERFACE = frozenset({"Counter", "Failure", "Result", "count"})


def __getattr__(name: str) -> Any:
    if name in _INTERFACE:
        from erythron import api

        return getattr(api, name)
    raise AttributeError(f"module 'erythron' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_INTERFACE})
