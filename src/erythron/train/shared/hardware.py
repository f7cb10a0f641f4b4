"""Where a training computes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum


class Checkpoint(StrEnum):
    """What a run keeps on the disk beside its result, and with it whether it can be taken up again.

    ``last``: everything of the newest epoch or step, from which an interrupted run goes on; of the published
    network 1.9 GB with its optimiser (2.8 with AdamW). ``best``: the weights of the best epoch by the
    validation part. ``weights``: the weights of the newest epoch. ``none``: nothing. All but ``last`` begin
    anew when they were interrupted. Weights alone are 0.9 GB of that network.
    """

    LAST = "last"
    BEST = "best"
    WEIGHTS = "weights"
    NONE = "none"


@dataclass(frozen=True)
class Hardware:
    """Where and how a run computes; nothing here changes its result beyond rounding.

    Attributes:
        accelerator: Lightning's name; ``auto`` takes what is there.
        devices: of this machine; 0 takes one, or what torchrun or SLURM started.
        machines: how many.
        precision: Lightning's name; ``auto`` is bf16 or fp16 where a GPU has it, else 32 bit.
        threads: CPU threads of each process.
        workers: processes that read ahead.
        loggers: ``csv``, ``tensorboard``, or the name of a class of ``lightning.pytorch.loggers``.
        checkpoint: what is kept on the disk.
    """

    accelerator: str = "auto"
    devices: int = 0
    machines: int = 1
    precision: str = "auto"
    threads: int = 2
    workers: int = 0
    loggers: tuple[str, ...] = ("csv", "tensorboard")
    checkpoint: Checkpoint = Checkpoint.LAST


THIS_MACHINE = Hardware()
"""One device of this machine, whatever it has."""


def find_processes() -> int:
    """Return how many processes train together, as torchrun or SLURM states it."""
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)


def find_rank() -> int:
    """Return the number of this process among those that train together, as torchrun or SLURM states it."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)
