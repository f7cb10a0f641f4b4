"""The shipped segmentation network back in torch, and another one in its file."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from erythron.bundle.folder import Bundle
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.errors import BundleError
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.stored import read_network, write_network
from erythron.train.shared import backbones


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rgb = draw_field(DrawnFieldSpec(288, 192, 0.3, 1, 4000.0)).rgb
    return np.stack([rgb[y : y + 96, x : x + 96] for y in (0, 96) for x in (0, 96, 192)])


def test_the_shipped_network_says_in_torch_what_it_says_in_use(
    bundle: Bundle, net: SegmentationNetwork, pixels: np.ndarray
) -> None:
    used = OpenVinoRuntime(bundle.segmentation_path).run({"pixels": pixels})["probabilities"]
    assert (used > 0.5).mean() > 0.01  # it sees cells there
    np.testing.assert_allclose(TorchRuntime(net).run({"pixels": pixels})["probabilities"], used, atol=1e-4)


def test_other_weights_are_written_and_the_rest_of_the_file_stays(
    bundle: Bundle,
    net: SegmentationNetwork,
    pixels: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = tmp_path / "same.onnx"
    write_network(net, bundle.segmentation_path, same)
    assert onnx.load(same) == onnx.load(bundle.segmentation_path)
    changed = deepcopy(net)
    with torch.no_grad():
        changed.head.bias -= 1.0
        changed.merges[0].norm.bias += 0.1
    assert write_network(changed, same, tmp_path / "changed.onnx") < 1e-4
    before, after = (
        OpenVinoRuntime(path).run({"pixels": pixels})["probabilities"]
        for path in (bundle.segmentation_path, tmp_path / "changed.onnx")
    )
    assert after.mean() < before.mean()
    # All weights are in the file: those of ImageNet are not asked for.
    monkeypatch.setattr(backbones, "find_packaged_weights", lambda _: pytest.fail("ImageNet's were read"))
    again = read_network(tmp_path / "changed.onnx")
    for a, b in zip(again.parameters(), changed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_file_that_is_no_such_network_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    model = onnx.load(bundle.segmentation_path)
    weights = {stored.name: stored for stored in model.graph.initializer}
    weights["net.head.bias"].name = "another"
    for node in model.graph.node:
        node.input[:] = ["another" if name == "net.head.bias" else name for name in node.input]
    onnx.save(model, tmp_path / "named.onnx")
    with pytest.raises(BundleError, match=r"another segmentation network .*net\.head\.bias is missing"):
        read_network(tmp_path / "named.onnx")

    # The names are right, and yet another thing is computed: the file divides pixels by another number.
    model = onnx.load(bundle.segmentation_path)
    for stored in model.graph.initializer:
        if stored.name == "val_1":
            stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored) * np.float32(1.1), "val_1"))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="differ from OpenVINO's"):
        read_network(tmp_path / "other.onnx")
