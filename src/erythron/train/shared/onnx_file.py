"""Networks to ONNX files that say what torch said, without traces of the machine that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from erythron.bundle.runtime import OpenVinoRuntime
from erythron.errors import BundleError
from erythron.files.writing import write_file


def export_onnx(
    network: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    """Return a network as ONNX with the batch, the first axis of every input, left open.

    Args:
        network: in evaluation mode.
        inputs: example inputs by name, in the order of its arguments.
        outputs: names of its outputs.

    Raises:
        BundleError: torch makes no ONNX network.
    """
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        network,
        tuple(inputs.values()),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=[{0: batch} for _ in inputs],
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise BundleError("torch made no ONNX network; check the versions of torch and onnxscript")
    return program.model_proto


def store_onnx(
    model: onnx.ModelProto,
    path: Path,
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    most_difference: float,
) -> float:
    """Write an ONNX file and return the largest difference between torch and OpenVINO on some inputs.

    Args:
        model: the network as ONNX.
        path: of the file.
        network: the network in torch, in evaluation mode.
        inputs: by name, in the order of its arguments.
        most_difference: that is allowed.

    Raises:
        BundleError: the difference is larger.
    """
    write_file(path, strip_traces(model).SerializeToString())
    with torch.no_grad():
        said = network(*inputs.values())
    expected = said if isinstance(said, tuple) else (said,)
    got = OpenVinoRuntime(path).run({name: value.numpy() for name, value in inputs.items()})
    pairs = zip(expected, (got[output.name] for output in model.graph.output), strict=True)
    difference = max(float(np.abs(a.numpy() - b).max()) for a, b in pairs)
    if not difference <= most_difference:
        raise BundleError(
            f"{path}: OpenVINO's outputs differ from torch's by {difference:.2g}, more than "
            f"{most_difference:g}; train with other versions of torch or OpenVINO"
        )
    return difference


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
