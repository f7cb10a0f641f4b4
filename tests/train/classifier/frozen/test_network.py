from __future__ import annotations

import numpy as np
import pytest
import torch

from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.errors import DataError
from erythron.train.classifier.frozen.head import FittedHead
from erythron.train.classifier.frozen.network import (
    ShapeFeatures,
    assemble_network,
    make_regions,
    pool_regions,
    rebuild_network,
)
from erythron.train.classifier.frozen.partial_labels import FINE_CLASSES
from erythron.train.shared.backbones import load_encoder
from erythron.train.shared.novelty import fit_novelty


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


def test_stored_weights_make_the_same_network_again() -> None:
    rng = np.random.default_rng(0)
    pooled = 456
    features = pooled + len(MEASUREMENT_INPUTS)
    head = FittedHead(
        rng.normal(size=features).astype(np.float32),
        rng.uniform(1, 2, features).astype(np.float32),
        rng.normal(size=(len(FINE_CLASSES), features)).astype(np.float32),
        rng.normal(size=len(FINE_CLASSES)).astype(np.float32),
        6.0,
    )
    novelty = fit_novelty(rng.normal(size=(80, pooled)), rng.integers(0, 3, 80))
    network = assemble_network(ShapeFeatures(load_encoder()), head, novelty)
    again = rebuild_network(network.state_dict(), 6.0)
    inputs = (
        torch.randn(2, 3, 96, 96),
        torch.rand(2, 2, 96, 96).round(),
        torch.randn(2, len(MEASUREMENT_INPUTS)),
    )
    with torch.no_grad():
        for first, second in zip(network(*inputs), again(*inputs), strict=True):
            torch.testing.assert_close(first, second, rtol=0, atol=0)
    with pytest.raises(DataError, match="another network"):
        rebuild_network({"weight": torch.ones(1)}, 6.0)
