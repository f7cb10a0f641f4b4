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
    Whoever is done with it closes it.

    Args:
        cells: training cells.
        fit: batch size, accumulation and sampling.
        seed: of order and augmentation.
        share: of this process.
        workers: processes that read ahead.
    """

    def __init__(self, cells: CellSet, fit: FitSettings, seed: int, share: Share, workers: int) -> None:
        # Nothing that the DataLoader holds may hold this object: see close.
        self.sampler = _Plans(cells.labels, fit, seed, share)
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
        return self.sampler.batches

    def __iter__(self) -> Iterator[Batch]:
        """Serve the rest of this epoch, or the next epoch where this one is done."""
        place = self.sampler
        if place.served >= len(self):
            place.set_epoch(place.epoch + 1)
        for batch in self._loader:
            place.served += 1
            yield batch

    def close(self) -> None:
        """End the processes that read ahead.

        Left to themselves they end when their iterator is freed. Lightning's trainer and module hold each
        other and it, so it would be freed by the garbage collector, which finalises the iterator's queues
        before the iterator: its workers never hear that they are to end, and it waits for them on semaphores
        that may be gone, for seconds, for ever, or until the interpreter crashes (torch 2.14, Python 3.11).
        """
        # DataLoader has no public way to end its workers; Lightning does the same for a plain DataLoader.
        if self._loader._iterator is not None:
            if self._loader.num_workers:
                self._loader._iterator._shutdown_workers()  # type: ignore[attr-defined]
            self._loader._iterator = None

    def state_dict(self) -> dict[str, int]:
        """Return which batch comes next."""
        return {"epoch": self.sampler.epoch, "served": self.sampler.served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up where a state was."""
        self.sampler.epoch, self.sampler.served = state["epoch"], state["served"]


class _Plans:
    """Rows and random numbers of every batch, and which comes next.

    Attributes:
        batches: of one epoch, for this process.
        epoch: that is served.
        served: batches of it that are done.
    """

    def __init__(self, labels: NDArray[np.int64], fit: FitSettings, seed: int, share: Share) -> None:
        self._labels = labels
        self._sampling, self._seed, self._share = fit.sampling, seed, share
        step = fit.accumulate * share.processes
        self._micro = max(min(fit.batch_size, len(labels)) // step, 1)
        self.batches = len(labels) // (self._micro * step) * fit.accumulate
        self.epoch = 0
        self.served = 0

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        seed = (self._seed, self.epoch)
        order = draw_order(self._labels, self._sampling, seed)
        draws = np.random.default_rng((*seed, 1)).random((len(order), DRAWS), np.float32)
        size = self._micro
        for i in range(self.served, self.batches):
            start = (i * self._share.processes + self._share.rank) * size
            part = slice(start, start + size)
            yield order[part], draws[part]

    def __len__(self) -> int:
        return self.batches - self.served

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch, unless it is the one that is being served.

        Lightning calls this on a loader's sampler; it restores no loader's state between epochs.
        """
        if epoch != self.epoch:
            self.epoch, self.served = epoch, 0


def make_plain_loader(cells: CellSet, batch_size: int) -> DataLoader[Batch]:
    """Return batches of every cell once, in the order of the rows."""
    plans = [
        (np.arange(i, min(i + batch_size, len(cells.labels))),)
        for i in range(0, len(cells.labels), batch_size)
    ]
    sampler = [(p, np.zeros((len(p), DRAWS), np.float32)) for (p,) in plans]
    return DataLoader(CellBatches(cells), sampler=sampler, batch_size=None)
