from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erythron.bundle.folder import load_bundle
from erythron.bundle.onnx_file import OnnxFileError, read_onnx

WEIGHTS = np.zeros((3, 2), np.float32)


def make_network(nodes: list[Any] | None = None, weights: list[TensorProto] | None = None) -> ModelProto:
    nodes = nodes or [helper.make_node("Add", ["pixels", "w"], ["logits"])]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 2])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            weights or [numpy_helper.from_array(WEIGHTS, "w")],
        )
    )


def refuse(content: bytes, match: str) -> None:
    with pytest.raises(OnnxFileError, match=match):
        read_onnx(content)


def test_what_onnx_writes_is_read_as_onnx_reads_it() -> None:
    content = load_bundle().classifier_path.read_bytes()
    expected = ModelProto.FromString(content)
    found = read_onnx(content)
    assert found.weights == {tensor.name: tuple(tensor.dims) for tensor in expected.graph.initializer}
    assert [(n.kind, n.inputs, n.outputs) for n in found.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in expected.graph.node
    ]


@pytest.mark.parametrize(
    ("held", "count", "most"),
    [
        ({"value": numpy_helper.from_array(WEIGHTS)}, 6, 6),
        ({"value_ints": [1, 300, 3]}, 3, 4),  # counted in bytes, of which a small number takes one
        ({"value_floats": [1.0, 2.0]}, 2, 8),
        ({"value_int": 7}, 1, 1),
    ],
)
def test_constants_are_at_most_as_large_as_is_read(held: dict[str, Any], count: int, most: int) -> None:
    node = helper.make_node("Constant", [], ["logits"], **held)
    found = read_onnx(make_network([node]).SerializeToString()).nodes[0].constant
    assert found is not None
    assert count <= np.prod(found, dtype=int) <= most


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret.bin", "link.bin", "weights.bin"])
def test_weights_in_another_file_are_refused_wherever_it_lies(place: str) -> None:
    tensor = TensorProto(name="w", dims=[3, 2], data_type=TensorProto.FLOAT)
    tensor.external_data.add(key="location", value=place)
    refuse(make_network(weights=[tensor]).SerializeToString(), "keeps weights in another file")
    tensor.data_location = TensorProto.EXTERNAL
    refuse(make_network(weights=[tensor]).SerializeToString(), "keeps weights in another file")
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    add = helper.make_node("Add", ["pixels", "w"], ["logits"])
    refuse(make_network([constant, add]).SerializeToString(), "keeps weights in another file")


def test_a_graph_in_a_graph_is_refused_with_what_hides_in_it() -> None:
    branch = make_network().graph
    node = helper.make_node("If", ["pixels"], ["logits"], then_branch=branch, else_branch=branch)
    refuse(make_network([node]).SerializeToString(), "loops or branches")


def test_operations_of_another_are_refused() -> None:
    node = helper.make_node("Run", ["pixels"], ["logits"], domain="com.stranger")
    refuse(make_network([node]).SerializeToString(), r"'com\.stranger', which is no part of ONNX")
    model = make_network()
    model.functions.add(name="own", domain="own")
    refuse(model.SerializeToString(), "operations of its own")
    model = make_network()
    model.training_info.add()
    refuse(model.SerializeToString(), "steps of a training")


def test_sizes_that_are_stated_and_not_stored_are_refused() -> None:
    tensor = TensorProto(name="w", dims=[2**20, 2**20], data_type=TensorProto.FLOAT, raw_data=b"1234")
    refuse(make_network(weights=[tensor]).SerializeToString(), "sizes of weights that it does not store")
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "w"),
        numpy_helper.from_array(np.zeros(1, np.int64)),
        [2**20, 2**20],
    )
    model = make_network()
    model.graph.sparse_initializer.append(sparse)
    refuse(model.SerializeToString(), "larger in memory than in the file")
    node = helper.make_node("Constant", [], ["logits"], sparse_value=sparse)
    refuse(make_network([node]).SerializeToString(), "larger in memory than in the file")


def test_two_graphs_are_not_merged() -> None:
    content = make_network().SerializeToString()
    refuse(content + content, "two of what there is one of")


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"<net/>", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 20, b"\x38\x01", b"\x3a\x00"],
)
def test_what_is_no_network_is_refused(content: bytes) -> None:
    refuse(content, "is no ONNX network|holds no network|cut short")


def test_a_network_cut_short_anywhere_is_refused_or_read() -> None:
    content = make_network().SerializeToString()
    for end in range(len(content)):
        try:
            read_onnx(content[:end])
        except OnnxFileError:
            continue


def test_the_shape_of_large_weights_is_read() -> None:
    big = numpy_helper.from_array(np.zeros(2**20, np.float32), "w")
    assert read_onnx(make_network(weights=[big]).SerializeToString()).weights == {"w": (2**20,)}
