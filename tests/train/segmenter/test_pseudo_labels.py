"""Cells and nuclei that the stain alone shows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from erythron.train.segmenter.pseudo_labels import find_lone_cell, find_nucleus

from .images import make_cell


def test_a_nucleus_is_found_only_where_the_stain_parts_it_from_the_cytoplasm() -> None:
    image, mask = make_cell((120, 120), 20, 0)
    cell = mask > 64
    nucleus = find_nucleus((image / 255).astype(np.float32), cell)
    assert nucleus is not None
    truth = mask > 200
    assert 2 * (nucleus & truth).sum() / (nucleus.sum() + truth.sum()) > 0.97
    assert find_nucleus(np.full((120, 120, 3), 0.5, np.float32), cell) is None
    granular = np.exp(-np.abs(np.random.default_rng(1).normal(0, 1, (120, 120, 3)))).astype(np.float32)
    assert find_nucleus(granular, cell) is None


def test_a_cell_that_touches_another_or_the_border_is_not_alone() -> None:
    image, mask = make_cell((120, 120), 20, 0)
    light = ndimage.gaussian_filter(image / np.array([238.0, 230.0, 215.0]), (1, 1, 0)).astype(np.float32)
    alone = find_lone_cell(light, 0.25)
    assert alone is not None
    assert 2 * (alone & (mask > 64)).sum() / (alone.sum() + (mask > 64).sum()) > 0.97
    touching = np.minimum(light, np.roll(light, 50, axis=1))
    assert find_lone_cell(touching, 0.25) is None
    assert find_lone_cell(light[:75], 0.25) is None
    assert find_lone_cell(np.ones((120, 120, 3), np.float32), 0.25) is None
