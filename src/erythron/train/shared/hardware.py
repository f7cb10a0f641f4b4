"""Where a training computes."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """Where and how a run computes; nothing here changes its result beyond rounding.

    Attributes:
        accelerator: Lightning's name; ``auto`` takes what is there.
        devices: of this machine; 0 takes one on a CPU, all otherwise, and what torchrun or SLURM started.
        machines: how many.
        precision: Lightning's name; ``auto`` is bf16 or fp16 where a GPU has it, else 32 bit.
        threads: CPU threads of each process.
        workers: processes that read ahead.
        loggers: ``csv``, ``tensorboard``, or the name of a class of ``lightning.pytorch.loggers``.
    """

    accelerator: str = "auto"
    devices: int = 0
    machines: int = 1
    precision: str = "auto"
    threads: int = 2
    workers: int = 0
    loggers: tuple[str, ...] = ("csv", "tensorboard")


THIS_MACHINE = Hardware()
"""One device of this machine, whatever it has."""


def find_rank() -> int:
    """Return the number of this process among those that train together, as torchrun or SLURM states it."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)
