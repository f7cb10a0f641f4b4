"""The order in which the page offers cells, from the tables of a run."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import polars as pl

from erythron.review.queue import rate_doubt
from erythron.review_page.ranking import MOST_RANKED, rank_cells, rate_maturity, read_probabilities
from erythron.review_page.run import ReviewedRun


def test_what_is_called_or_counted_nowhere_is_not_asked_for(run: Path) -> None:
    opened = ReviewedRun(run)
    names = [c.name for c in opened.model.settings.classes]
    fields = [(field, field.list_cells()) for field in opened.fields]
    total = sum(table.height for _, table in fields)
    nobody, everywhere = np.zeros(total, bool), np.ones(total, bool)
    order = rank_cells(fields, names, nobody, everywhere, 500)
    assert sorted(order) == list(range(total))
    doubt = rate_doubt(read_probabilities(pl.concat([table for _, table in fields]), names))
    assert order[0] == int(np.argmax(doubt))
    called, counted = nobody.copy(), everywhere.copy()
    called[order[0]], counted[order[1]] = True, False
    assert set(rank_cells(fields, names, called, counted, 500)) == set(order[2:])


def test_a_large_run_is_ranked_at_once(run: Path) -> None:
    """Of 20,000 cells, a quarter of them called and some measurements missing."""
    field = ReviewedRun(run).fields[0]
    names = [c.name for c in ReviewedRun(run).model.settings.classes]
    table = field.list_cells()
    copies = pl.concat([table] * (20_000 // table.height + 1)).head(20_000)
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.full(len(names), 0.3), copies.height)
    copies = copies.with_columns(
        *(pl.Series(f"prob_{name}", said[:, i]) for i, name in enumerate(names)),
        pl.when(pl.int_range(pl.len()) % 7 > 0).then("nucleus_solidity").alias("nucleus_solidity"),
    )
    called = rng.random(copies.height) < 0.25
    started = time.perf_counter()
    order = rank_cells([(field, copies)], names, called, np.ones(copies.height, bool), 200)
    assert time.perf_counter() - started < 3  # a third of a second on one free core
    assert len(set(order)) == 200
    assert not called[order].any()
    least = np.sort(np.where(called, -1, rate_doubt(said)))[-MOST_RANKED]
    assert (rate_doubt(said)[order] >= least).all()


def test_cells_of_no_stage_have_no_maturity() -> None:
    cells = pl.DataFrame({"prob_a": [1.0, 0.3, 0.1], "prob_b": [0.0, 0.3, 0.1]})
    assert rate_maturity(cells, ["a", "b"]) == [1.0, 1.5, None]
    assert rate_maturity(cells, []) == [None] * 3
