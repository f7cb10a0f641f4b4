"""Where a count is done: in this process, in several of this machine, or on a Ray cluster."""

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
        workers: on the cluster, or processes of this machine; None for one a core of the cluster, or for
            this process alone.
    """

    engine: Engine = Engine.LOCAL
    address: str | None = None
    workers: int | None = None

    @property
    def has_workers(self) -> bool:
        """Whether other processes than this one count, each with one core."""
        return self.engine is Engine.RAY or (self.workers or 1) > 1


def check_engine(options: EngineOptions) -> None:
    """Refuse what says nothing without Ray, and Ray where it is not installed, before work begins.

    Raises:
        UsageError: the address of a cluster is given without Ray.
        MissingExtraError: Ray is not installed.
    """
    if options.engine is Engine.RAY:
        from erythron.pipeline.ray_executor import import_ray

        import_ray()
        return
    if options.address is not None:
        raise UsageError("--ray-address is of a Ray cluster; give --engine ray too, or leave it out")


def open_engine(options: EngineOptions) -> Executor | None:
    """Return the executor of a run; None for this process."""
    if options.engine is Engine.LOCAL and options.workers in (None, 1):
        return None
    from erythron.cli.progress import show_notice

    if options.engine is Engine.LOCAL:
        from erythron.pipeline.process_executor import ProcessExecutor

        return ProcessExecutor(options.workers or 1, show_notice)
    from erythron.pipeline.ray_executor import RayExecutor

    return RayExecutor(options.address, options.workers, show_notice)
