from __future__ import annotations

import numpy as np
import polars as pl

from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.datasets.manifest import MANIFEST_SCHEMA
from erythron.train.classifier.frozen.augmentation import augment, cut_plain
from erythron.train.recipe import SampleSettings
from erythron.train.shared.framed_cells import FramedCells


def draw_cells(count: int) -> FramedCells:
    yy, xx = np.mgrid[:168, :168]
    cell = np.hypot(xx - 83.5, yy - 83.5) < 40
    nucleus = np.hypot(xx - 83.5, yy - 83.5) < 20
    pixels = np.where(nucleus[..., None], 90, np.where(cell[..., None], 160, 255)).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (count, 168, 168, 3)).copy()
    masks = np.broadcast_to(np.stack([nucleus, cell], 2).astype(np.uint8) * 255, (count, 168, 168, 2)).copy()
    inputs = np.full((count, len(MEASUREMENT_INPUTS)), 0.5, np.float32)
    rows = pl.DataFrame(schema=MANIFEST_SCHEMA)
    return FramedCells(rows, pixels, masks, inputs, np.ones(count, bool))


def test_the_plain_sample_is_the_middle() -> None:
    cells = draw_cells(2)
    sample = cut_plain(cells, 112)
    assert np.array_equal(sample.pixels, cells.pixels[:, 28:140, 28:140])
    assert np.array_equal(sample.inputs, cells.inputs)


def test_colour_never_touches_the_mask() -> None:
    """Trap: jitter of a four-channel image turned a mask of 255 into 153."""
    sample = augment(draw_cells(6), 112, SampleSettings(), 3)
    middle = sample.masks[:, 40:72, 40:72]
    assert (middle[:, 8:24, 8:24, 0] == 255).all()
    assert (sample.pixels[:, 52:60, 52:60] != 90).any()


def test_scale_acts_on_image_and_measurements_alike() -> None:
    sample = augment(draw_cells(12), 112, SampleSettings(), 5)
    radius = np.sqrt((sample.masks[..., 1] / 255.0).sum((1, 2)) / np.pi)
    log_size = sample.inputs[:, MEASUREMENT_INPUTS.index("log_cell_diameter_um")] - 0.5
    np.testing.assert_allclose(np.log(radius / 40), log_size, atol=0.02)
    assert np.ptp(log_size) > 0.05


def test_samples_repeat_by_seed() -> None:
    cells = draw_cells(3)
    assert np.array_equal(
        augment(cells, 112, SampleSettings(), 1).pixels, augment(cells, 112, SampleSettings(), 1).pixels
    )
    assert not np.array_equal(
        augment(cells, 112, SampleSettings(), 1).pixels, augment(cells, 112, SampleSettings(), 2).pixels
    )


def test_without_spreads_only_the_turn_is_left() -> None:
    none = SampleSettings(scale=0, stain=0, colour=0, tint=0)
    sample = augment(draw_cells(3), 112, none, 1)
    assert np.abs(sample.inputs - 0.5).max() < 1e-6
    assert np.abs((sample.masks[..., 1] > 127).sum((1, 2)) / (np.pi * 40**2) - 1).max() < 0.01
