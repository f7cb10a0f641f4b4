"""Augmented samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from erythron.train.segmenter.augment import Spread, make_batch
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.segmenter.windows import Windows


def test_a_window_may_be_centred_where_the_cell_has_a_candidate_point(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell & windows.nucleus_known)
    assert not np.isnan(windows.points[index, 0]).any()
    lobe = np.full_like(windows.points, np.nan)
    lobe[:, 0] = 5, -3
    moved = replace(windows, points=lobe)
    batch = make_batch(moved, index, WINDOW_PX, np.random.default_rng(2), Spread(at_candidate=1, crowd=1))
    middle = WINDOW_PX // 2
    assert (batch.masks[:, 0, middle - 1 : middle + 1, middle - 1 : middle + 1].amax((1, 2)) > 0.5).all()
    place = np.arange(WINDOW_PX) - (WINDOW_PX - 1) / 2
    alone = make_batch(
        moved, index, WINDOW_PX, np.random.default_rng(2), Spread(at_candidate=1, crowd=0, log_scale=0)
    )
    for nucleus in alone.masks[:, 0].numpy():
        away = [(nucleus.sum(axis) * place).sum() / nucleus.sum() for axis in (0, 1)]
        np.testing.assert_allclose(np.hypot(*away), np.hypot(5, 3), atol=1)


def test_colour_changes_pixels_and_no_mask(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell)[:6]
    still = Spread(log_scale=0, shift=0, at_candidate=0, crowd=0)
    batch = make_batch(windows, index, WINDOW_PX, np.random.default_rng(0), still)
    start = (windows.pixels.shape[1] - WINDOW_PX) // 2
    middle = np.s_[:, start : start + WINDOW_PX, start : start + WINDOW_PX]
    assert np.unique(batch.masks.round(decimals=3).numpy()).size > 2
    area = windows.masks[index][middle].sum((1, 2)) / 255
    np.testing.assert_allclose(batch.masks.sum((2, 3)).numpy(), area, rtol=0.03)
    light = windows.pixels[index][middle] / 255
    assert np.abs(batch.pixels.numpy().transpose(0, 2, 3, 1) - light).mean() > 0.01


def test_a_second_cell_takes_its_part_of_the_first(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell)
    alone = make_batch(windows, index, WINDOW_PX, np.random.default_rng(1), Spread(crowd=0))
    crowded = make_batch(windows, index, WINDOW_PX, np.random.default_rng(1), Spread(crowd=1))
    assert (crowded.masks <= alone.masks + 1e-6).all()
    lost = 1 - crowded.masks[:, 1].sum((1, 2)) / alone.masks[:, 1].sum((1, 2))
    assert 0.01 < float(lost.mean()) < 0.4
