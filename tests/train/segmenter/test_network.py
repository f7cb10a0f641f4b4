"""The graph of the segmentation network as it is exported."""

from __future__ import annotations

from collections import Counter

import onnx
from torch import nn

from erythron.bundle.folder import load_bundle
from erythron.train.segmenter.fit import make_network


def check_graph(model: onnx.ModelProto) -> None:
    """Sides are known: only how many windows there are is asked of the input; no padding is worked out."""
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Shape"] <= 1
    assert not kinds.keys() & {"Pad", "Range", "Gather", "Ceil"}
    assert kinds["Conv"] == sum(isinstance(part, nn.Conv2d) for part in make_network(0).modules())


def test_the_shipped_graph_only_computes_on_pixels() -> None:
    check_graph(onnx.load(load_bundle().segmentation_path))
