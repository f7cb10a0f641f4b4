from __future__ import annotations

import numpy as np
import pytest

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import CHUNK, OpenVinoRuntime


@pytest.fixture(scope="module")
def segmentation() -> OpenVinoRuntime:
    return OpenVinoRuntime(load_bundle().segmentation_path, threads=1)


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_a_row_gives_the_same_in_a_batch_of_any_size(segmentation: OpenVinoRuntime, count: int) -> None:
    side = load_bundle().card.segmenter.window_px
    pixels = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 3, side, side, 3), np.uint8)
    whole = segmentation.run({"pixels": pixels})["probabilities"]
    part = segmentation.run({"pixels": pixels[:count]})["probabilities"]
    assert part.shape == (count, 2, side, side)
    np.testing.assert_allclose(part, whole[:count], atol=1e-5)
    assert not np.allclose(whole[0], whole[1], atol=1e-3)
