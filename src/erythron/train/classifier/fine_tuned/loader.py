"""Batches in a seeded order that any process, at any step, can take up again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from erythron.train.classifier.fine_tuned.augmentation import DRAWS, Batch
from erythron.train.classifier.fine_tuned.cell_set import CellSet
from erythron.train.recipe import FitSettings, Sampling


@dataclass(frozen=True)
class Share:
    """Which part of every global batch this process takes: ``rank`` of ``processes``."""

    rank: int = 0
    processes: int = 1


def draw_order(labels: NDArray[np.int64], sampling: Sampling, seed: tuple[int, int]) -> NDArray[np.int64]:
    """Return the cells of one epoch in order, as many as there are.

    Balanced, every class has as many places as every other, to within one, and a class repeats none of its
    cells before all had their turn.

    Args:
        labels: (N,) class of each cell.
        sampling: how to draw.
        seed: the run's and the epoch.
    """
    rng = np.random.default_rng(seed)
    if sampling is Sampling.NATURAL:
        return rng.permutation(len(labels))
    present = rng.permutation(np.unique(labels))
    drawn = []
    for i, label in enumerate(present):
        members = np.flatnonzero(labels == label)
        wanted = len(labels) // len(present) + (i < len(labels) % len(present))
        rounds = [rng.permutation(members) for _ in range(-(-wanted // len(members)))]
        drawn.append(np.concatenate(rounds)[:wanted] if wanted else members[:0])
    return rng.permutation(np.concatenate(drawn))


class CellBatches(Dataset[Batch]):
    """Batches of a cell set by the positions and random numbers that a plan names."""

    def __init__(self, cells: CellSet) -> None:
        self.cells = cells

    def __getitem__(self, plan: tuple[NDArray[np.int64], NDArray[np.float32]]) -> Batch:
        """Return the batch of given rows and random numbers."""
        index, draws = plan
        pixels, masks = (
            torch.from_numpy(np.ascontiguousarray(a[index])).permute(0, 3, 1, 2)
            for a in (self.cells.pixels, self.cells.masks)
        )
        return Batch(
            pixels,
            masks,
            torch.from_numpy(self.cells.labels[index]),
            torch.from_numpy(draws),
            torch.from_numpy(index),
        )


class TrainingLoader:
    """Training batches, epoch after epoch; its state names the next, so that a run resumes within one.

    What is left over when the cells do not fill the last batch is dropped; the next epoch has another order.

    Args:
        cells: training cells.
        fit: batch size, accumulation and sampling.
        seed: of order and augmentation.
        share: of this process.
        workers: processes that read ahead.
    """

    def __init__(self, cells: CellSet, fit: FitSettings, seed: int, share: Share, workers: int) -> None:
        self._labels = cells.labels
        self._fit, self._seed, self._share = fit, seed, share
        step = fit.accumulate * share.processes
        self._micro = max(min(fit.batch_size, len(cells.labels)) // step, 1)
        self._steps = len(cells.labels) // (self._micro * step)
        self.epoch = 0
        self.served = 0
        self.sampler = _Plans(self)
        self._loader = DataLoader(
            CellBatches(cells),
            sampler=self.sampler,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        """Return the batches of one epoch for this process."""
        return self._steps * self._fit.accumulate

    def __iter__(self) -> Iterator[Batch]:
        """Serve the rest of this epoch, or the next epoch where this one is done."""
        if self.served >= len(self):
            self.epoch, self.served = self.epoch + 1, 0
        for batch in self._loader:
            self.served += 1
            yield batch

    def plan_epoch(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield rows and random numbers of every batch that is left of this epoch."""
        seed = (self._seed, self.epoch)
        order = draw_order(self._labels, self._fit.sampling, seed)
        draws = np.random.default_rng((*seed, 1)).random((len(order), DRAWS), np.float32)
        size = self._micro
        for i in range(self.served, len(self)):
            start = (i * self._share.processes + self._share.rank) * size
            part = slice(start, start + size)
            yield order[part], draws[part]

    def start_epoch(self, epoch: int) -> None:
        """Start an epoch, unless it is the one that is being served."""
        if epoch != self.epoch:
            self.epoch, self.served = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return which batch comes next."""
        return {"epoch": self.epoch, "served": self.served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up where a state was."""
        self.epoch, self.served = state["epoch"], state["served"]


class _Plans:
    def __init__(self, loader: TrainingLoader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return self._loader.plan_epoch()

    def __len__(self) -> int:
        return len(self._loader) - self._loader.served

    def set_epoch(self, epoch: int) -> None:
        """Be told the epoch, as Lightning tells samplers: it restores no loader's state between epochs."""
        self._loader.start_epoch(epoch)


def make_plain_loader(cells: CellSet, batch_size: int) -> DataLoader[Batch]:
    """Return batches of every cell once, in the order of the rows."""
    plans = [
        (np.arange(i, min(i + batch_size, len(cells.labels))),)
        for i in range(0, len(cells.labels), batch_size)
    ]
    sampler = [(p, np.zeros((len(p), DRAWS), np.float32)) for (p,) in plans]
    return DataLoader(CellBatches(cells), sampler=sampler, batch_size=None)
