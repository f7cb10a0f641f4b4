from __future__ import annotations

import numpy as np
import polars as pl
import torch

from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.datasets.manifest import MANIFEST_SCHEMA
from erythron.train.classifier.frozen.augmentation import make_view
from erythron.train.classifier.frozen.network import make_regions, pool_regions
from erythron.train.shared.framed_cells import Cells


def draw_cells(count: int) -> Cells:
    yy, xx = np.mgrid[:168, :168]
    cell = np.hypot(xx - 83.5, yy - 83.5) < 40
    nucleus = np.hypot(xx - 83.5, yy - 83.5) < 20
    pixels = np.where(nucleus[..., None], 90, np.where(cell[..., None], 160, 255)).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (count, 168, 168, 3)).copy()
    masks = np.broadcast_to(np.stack([nucleus, cell], 2).astype(np.uint8) * 255, (count, 168, 168, 2)).copy()
    inputs = np.full((count, len(MEASUREMENT_INPUTS)), 0.5, np.float32)
    return Cells(pl.DataFrame(schema=MANIFEST_SCHEMA), pixels, masks, inputs)


def test_the_plain_view_is_the_middle() -> None:
    cells = draw_cells(2)
    view = make_view(cells, 112, None)
    assert np.array_equal(view.pixels, cells.pixels[:, 28:140, 28:140])
    assert np.array_equal(view.inputs, cells.inputs)


def test_colour_never_touches_the_mask() -> None:
    """Trap: jitter of a four-channel image turned a mask of 255 into 153."""
    view = make_view(draw_cells(6), 112, 3)
    middle = view.masks[:, 40:72, 40:72]
    assert (middle[:, 8:24, 8:24, 0] == 255).all()
    assert (view.pixels[:, 52:60, 52:60] != 90).any()


def test_scale_acts_on_image_and_measurements_alike() -> None:
    view = make_view(draw_cells(12), 112, 5)
    radius = np.sqrt((view.masks[..., 1] / 255.0).sum((1, 2)) / np.pi)
    log_size = view.inputs[:, MEASUREMENT_INPUTS.index("log_cell_diameter_um")] - 0.5
    np.testing.assert_allclose(np.log(radius / 40), log_size, atol=0.02)
    assert np.ptp(log_size) > 0.05


def test_views_repeat_by_seed() -> None:
    cells = draw_cells(3)
    assert np.array_equal(make_view(cells, 112, 1).pixels, make_view(cells, 112, 1).pixels)
    assert not np.array_equal(make_view(cells, 112, 1).pixels, make_view(cells, 112, 2).pixels)


def test_pooling_averages_over_each_region() -> None:
    masks = torch.zeros(1, 2, 32, 32)
    masks[:, 1, 8:24, 8:24] = 1
    masks[:, 0, 16:24, 8:24] = 1
    regions = make_regions(masks)
    assert float((regions[:, 0] * regions[:, 1]).sum()) == 0
    features = torch.zeros(1, 2, 4, 4)
    features[:, 0, 2:3, 1:3] = 7.0
    features[:, 1, 1:2, 1:3] = 3.0
    pooled = pool_regions(features, regions).view(3, 2)
    torch.testing.assert_close(pooled[:2], torch.tensor([[7.0, 0.0], [0.0, 3.0]]), rtol=1e-2, atol=1e-3)


def test_an_empty_region_pools_to_zero() -> None:
    assert float(pool_regions(torch.ones(1, 2, 4, 4), torch.zeros(1, 3, 32, 32)).abs().max()) == 0
