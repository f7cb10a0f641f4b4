"""The graph of the segmentation network as it is exported."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from torch import nn

from erythron.bundle.folder import SEGMENTATION
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.recipe import TrainedSegmenter, export_segmenter
from erythron.train.shared.backbones import load_encoder


def test_the_exported_graph_only_computes_on_pixels(tmp_path: Path) -> None:
    net = SegmentationNetwork(load_encoder()).eval()
    export_segmenter(TrainedSegmenter(net, {}), tmp_path)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / SEGMENTATION).graph.node)
    # Sides are known: only how many windows there are is asked of the input, and no padding is worked out.
    assert kinds["Shape"] <= 1
    assert not kinds.keys() & {"Pad", "Range", "Gather", "Ceil"}
    convolutions = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    assert kinds["Conv"] == convolutions
