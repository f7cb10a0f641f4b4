"""ONNX files without traces of the machine that wrote them."""

from __future__ import annotations

import onnx


def strip_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter notes of the machine it ran on: stack traces with paths, node by node."""
    graph = model.graph
    for item in (
        model,
        graph,
        *graph.node,
        *graph.initializer,
        *graph.value_info,
        *graph.input,
        *graph.output,
    ):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for function in model.functions:
        for item in (function, *function.node):
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
    return model
