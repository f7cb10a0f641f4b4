from __future__ import annotations

import gc
import multiprocessing
from itertools import chain
from multiprocessing.process import BaseProcess

import numpy as np
import polars as pl
import pytest

from erythron.train.classifier.fine_tuned.cell_set import CellSet
from erythron.train.classifier.fine_tuned.loader import Share, TrainingLoader, draw_order, make_plain_loader
from erythron.train.recipe import FitSettings, Sampling


def make_cells(labels: list[int]) -> CellSet:
    count = len(labels)
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    rows = pl.DataFrame({"path": [str(i) for i in range(count)]})
    classes = tuple(f"class{i}" for i in range(max(labels) + 1))
    inputs = np.zeros((count, 2), np.float32)
    has_cell = np.ones(count, bool)
    return CellSet(rows, pixels, pixels.copy(), inputs, has_cell, np.array(labels, np.int64), classes)


def indices(loader: TrainingLoader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


CELLS = make_cells([0] * 20 + [1] * 5)


def test_an_epoch_has_every_cell_once_and_the_next_another_order() -> None:
    loader = TrainingLoader(CELLS, FitSettings(batch_size=5), 0, Share(), 0)
    first, second = indices(loader), indices(loader)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(25))
    assert first != second
    assert indices(TrainingLoader(CELLS, FitSettings(batch_size=5), 0, Share(), 0)) == first


def test_pixels_and_labels_are_those_of_the_index() -> None:
    for batch in TrainingLoader(CELLS, FitSettings(batch_size=5), 0, Share(), 0):
        assert batch.pixels[:, 0, 0, 0].tolist() == batch.index.tolist()
        assert batch.labels.tolist() == [int(i >= 20) for i in batch.index]


@pytest.mark.parametrize(("served", "workers"), [(0, 0), (1, 0), (3, 0), (5, 0), (3, 2)])
def test_a_state_resumes_with_the_next_batch_and_its_random_numbers(served: int, workers: int) -> None:
    fit = FitSettings(batch_size=5)
    whole = TrainingLoader(CELLS, fit, 3, Share(), 0)
    expected = [b for _ in range(2) for b in whole]
    cut = TrainingLoader(CELLS, fit, 3, Share(), workers)
    iterator = iter(cut)
    for _ in range(served):
        next(iterator)
    state = cut.state_dict()
    resumed = TrainingLoader(CELLS, fit, 3, Share(), workers)
    resumed.load_state_dict(state)
    rest = [b for _ in range(2 if served < 5 else 1) for b in resumed]
    assert [b.index.tolist() for b in rest] == [b.index.tolist() for b in expected[served:]]
    assert all((a.draws == b.draws).all() for a, b in zip(rest, expected[served:], strict=True))


def test_a_stated_epoch_is_served_from_its_start_and_the_present_one_goes_on() -> None:
    fit = FitSettings(batch_size=5)
    whole = TrainingLoader(CELLS, fit, 3, Share(), 0)
    expected = [indices(whole) for _ in range(3)]
    told = TrainingLoader(CELLS, fit, 3, Share(), 0)
    told.sampler.set_epoch(2)
    assert indices(told) == expected[2]
    told.load_state_dict({"epoch": 1, "served": 4})
    told.sampler.set_epoch(1)
    assert indices(told) == expected[1][4:]


def test_processes_share_the_global_batches_of_one() -> None:
    fit = FitSettings(batch_size=6)
    alone = indices(TrainingLoader(CELLS, fit, 0, Share(), 0))
    parts = [indices(TrainingLoader(CELLS, fit, 0, Share(rank, 2), 0)) for rank in range(2)]
    together = [a + b for a, b in zip(*parts, strict=True)]
    assert together == alone
    assert all(len(b) == 6 for b in alone)


def test_accumulated_batches_are_the_parts_of_one() -> None:
    alone = indices(TrainingLoader(CELLS, FitSettings(batch_size=6), 0, Share(), 0))
    halves = indices(TrainingLoader(CELLS, FitSettings(batch_size=6, accumulate=2), 0, Share(), 0))
    assert [halves[i] + halves[i + 1] for i in range(0, len(halves), 2)] == alone


def test_balanced_epochs_have_every_class_equally_often() -> None:
    order = draw_order(CELLS.labels, Sampling.BALANCED, (0, 0))
    counts = np.bincount(CELLS.labels[order])
    assert len(order) == 25
    assert abs(counts[0] - counts[1]) <= 1
    rare = np.bincount(order, minlength=25)[20:]
    assert rare.max() - rare.min() <= 1
    assert np.bincount(order, minlength=25)[:20].max() == 1


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    cells = make_cells([0, 1, 0])
    assert [sorted(b) for b in indices(TrainingLoader(cells, FitSettings(batch_size=32), 0, Share(), 0))] == [
        [0, 1, 2]
    ]


def test_the_plain_loader_has_every_cell_in_order() -> None:
    loader = make_plain_loader(CELLS, 7)
    assert [i for b in loader for i in b.index.tolist()] == list(range(25))


def start_workers() -> tuple[TrainingLoader, list[BaseProcess]]:
    """A loader in the middle of an epoch, and the processes that read ahead for it."""
    before = set(multiprocessing.active_children())
    loader = TrainingLoader(CELLS, FitSettings(batch_size=5), 3, Share(), 2)
    next(iter(loader))
    return loader, [p for p in multiprocessing.active_children() if p not in before]


def test_workers_end_with_their_loader_and_not_in_the_garbage_collector() -> None:
    """Collected as a part of a circle, they hang or crash the interpreter."""
    gc.collect()
    gc.disable()
    try:
        loader, workers = start_workers()
        assert len(workers) == 2
        del loader
        assert not any(worker.is_alive() for worker in workers)
    finally:
        gc.enable()


def test_closing_ends_the_workers_whoever_still_holds_the_loader() -> None:
    loader, workers = start_workers()
    loader.close()
    assert not any(worker.is_alive() for worker in workers)
    loader.close()
    assert [b.index.tolist() for b in loader] == [
        b.index.tolist() for b in TrainingLoader(CELLS, FitSettings(batch_size=5), 3, Share(), 0)
    ][1:]
    loader.close()
