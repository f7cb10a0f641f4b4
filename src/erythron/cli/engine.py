"""Where a count is done: in this process, or on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from erythron.errors import UsageError

if TYPE_CHECKING:
    from erythron.pipeline.executor import Executor


class Engine(StrEnum):
    """What does the work of a run."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class EngineOptions:
    """How a run is told where to count.

    Attributes:
        engine: what does the work.
        address: of the Ray cluster; None starts one on this machine.
        workers: on the cluster; None for one a core.
    """

    engine: Engine = Engine.LOCAL
    address: str | None = None
    workers: int | None = None


def check_engine(options: EngineOptions) -> None:
    """Refuse options that say nothing without Ray, and Ray where it is not installed, before work begins.

    Raises:
        UsageError: an option of Ray is given without it.
        MissingExtraError: Ray is not installed.
    """
    if options.engine is Engine.RAY:
        from erythron.pipeline.ray_executor import import_ray

        import_ray()
        return
    for name, value in (("--ray-address", options.address), ("--workers", options.workers)):
        if value is not None:
            raise UsageError(f"{name} is of a Ray cluster; give --engine ray too, or leave it out")


def open_engine(options: EngineOptions) -> Executor | None:
    """Return the executor of a run; None for this process."""
    if options.engine is Engine.LOCAL:
        return None
    from erythron.pipeline.ray_executor import RayExecutor

    return RayExecutor(options.address, options.workers)
