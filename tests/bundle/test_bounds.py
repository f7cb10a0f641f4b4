"""Networks that were made to harm; each is a whole ONNX file that the programs which compute it accept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, save

from erythron.bundle.bounds import check_file
from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import open_runtime
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.errors import BundleError

ZERO = np.array([0], np.int64)


def write(path: Path, nodes: list[NodeProto], **constants: NDArray[np.generic]) -> Path:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    save(model, str(path))
    return path


def fill(sizes: str, result: str, kind: type[np.generic]) -> NodeProto:
    return helper.make_node(
        "ConstantOfShape", [sizes], [result], value=numpy_helper.from_array(np.ones(1, kind))
    )


def test_the_networks_that_ship_are_within_bounds() -> None:
    bundle = load_bundle()
    check_file(bundle.classifier_path)
    check_file(bundle.segmentation_path)


@pytest.mark.parametrize("kind", RuntimeKind)
@pytest.mark.parametrize("place", ["outside", "above", "link"])
def test_weights_outside_the_bundle_are_not_read(kind: RuntimeKind, place: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(64, dtype=np.float32).tobytes())
    (folder / "link.bin").symlink_to(secret)
    where = {"outside": str(secret), "above": "../secret.bin", "link": "link.bin"}[place]
    tensor = TensorProto(name="w", dims=[8, 8], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=where)
    path = folder / "n.onnx"
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["pixels", "w"], ["logits"])],
            "network",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
            [tensor],
        )
    )
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"n\.onnx: the network keeps weights in another file"):
        open_runtime(path, kind)


CHAIN = [
    fill("sizes", "filled", np.int64),
    helper.make_node("ReduceMax", ["filled"], ["one"], keepdims=0),
    helper.make_node("Unsqueeze", ["one", "zero"], ["shape"]),
    helper.make_node("Expand", ["pixels", "shape"], ["logits"]),
]
BROADCAST = [
    helper.make_node("Add", ["row", "column"], ["table"]),
    helper.make_node("ReduceMax", ["table"], ["one"], keepdims=0),
    helper.make_node("Clip", ["pixels", "one"], ["logits"]),
]
FLATTENED = [
    helper.make_node("Reshape", ["row", "flat"], ["r"]),
    helper.make_node("Unsqueeze", ["r", "zero"], ["u"]),
    helper.make_node("Add", ["u", "column"], ["table"]),
    *BROADCAST[1:],
]
DOUBLED = [
    helper.make_node("Concat", [f"d{step}", f"d{step}"], [f"d{step + 1}"], axis=0) for step in range(40)
] + [helper.make_node("Reshape", ["pixels", "d40"], ["logits"])]


@pytest.mark.parametrize("kind", RuntimeKind)
@pytest.mark.parametrize(
    ("nodes", "operation"),
    [(CHAIN, "Expand"), (BROADCAST, "Clip"), (FLATTENED, "Clip"), (DOUBLED, "Reshape")],
)
def test_nothing_large_is_computed_while_a_network_is_read(
    kind: RuntimeKind, nodes: list[NodeProto], operation: str, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "n.onnx",
        nodes,
        sizes=np.array([2**20, 2**20], np.int64),
        zero=ZERO,
        row=np.zeros((1, 10_000), np.float32),
        column=np.zeros((10_000, 1), np.float32),
        flat=np.array([-1], np.int64),
        d0=np.ones(2, np.int64),
    )
    with pytest.raises(BundleError, match=f"a size or setting of {operation} of results of any size"):
        open_runtime(path, kind)


def test_a_length_of_constants_is_bounded_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Range", ["first", "last", "step"], ["long"]),
        fill("long", "filled", np.float32),
        helper.make_node("Add", ["pixels", "filled"], ["logits"]),
    ]
    whole = {name: np.array(value, np.int64) for name, value in (("first", 0), ("last", 2**40), ("step", 1))}
    with pytest.raises(BundleError, match="a size or setting of ConstantOfShape"):
        check_file(write(tmp_path / "n.onnx", nodes, **whole))


@pytest.mark.parametrize("kind", RuntimeKind)
def test_a_size_that_pixels_set_is_refused(kind: RuntimeKind, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["pixels"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "many"], ["times"]),
        helper.make_node("Cast", ["times"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["whole", "zero"], ["sizes"]),
        fill("sizes", "filled", np.float32),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
        helper.make_node("Add", ["pixels", "sum"], ["logits"]),
    ]
    path = write(tmp_path / "n.onnx", nodes, many=np.array(2**40, np.float32), zero=ZERO)
    with pytest.raises(BundleError, match="of a size that depends on the image"):
        open_runtime(path, kind)


@pytest.mark.parametrize("kind", RuntimeKind)
def test_more_memory_than_any_network_needs_is_refused(kind: RuntimeKind, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["pixels", "zero"], ["u"]),
        helper.make_node("Expand", ["u", "sizes"], ["wide"]),
        helper.make_node("ReduceMax", ["wide", "zero"], ["logits"], keepdims=0),
    ]
    path = write(tmp_path / "n.onnx", nodes, zero=ZERO, sizes=np.array([2**30, 1, 1, 1, 1], np.int64))
    with pytest.raises(BundleError, match=r"asks for \d+ GiB for"):
        open_runtime(path, kind)


@pytest.mark.parametrize("kind", RuntimeKind)
def test_a_batch_of_which_only_some_sizes_harm_is_refused(kind: RuntimeKind, tmp_path: Path) -> None:
    """(batch - 1) * (8 - batch) numbers, times a billion: none for one cell and none for a full chunk."""
    nodes = [
        helper.make_node("Shape", ["pixels"], ["batch"], start=0, end=1),
        helper.make_node("Sub", ["batch", "one"], ["above"]),
        helper.make_node("Sub", ["eight", "batch"], ["below"]),
        helper.make_node("Mul", ["above", "below"], ["middle"]),
        helper.make_node("Mul", ["middle", "many"], ["sizes"]),
        fill("sizes", "filled", np.float32),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
        helper.make_node("Add", ["pixels", "sum"], ["logits"]),
    ]
    numbers = {name: np.array([n], np.int64) for name, n in (("one", 1), ("eight", 8), ("many", 10**9))}
    path = write(tmp_path / "n.onnx", nodes, **numbers)
    with pytest.raises(BundleError, match=r"asks for \d+ GiB for"):
        open_runtime(path, kind).run({"pixels": np.zeros((2, 3, 8, 8), np.float32)})


def test_shapes_made_of_the_batch_are_right(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["pixels"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "rest"], ["sizes"], axis=0),
        helper.make_node("Expand", ["token", "sizes"], ["tokens"]),
        helper.make_node("Add", ["pixels", "tokens"], ["logits"]),
    ]
    path = write(
        tmp_path / "n.onnx",
        nodes,
        rest=np.array([3, 8, 8], np.int64),
        token=np.ones((1, 3, 1, 1), np.float32),
    )
    pixels = np.zeros((3, 3, 8, 8), np.float32)
    for kind in RuntimeKind:
        assert np.array_equal(open_runtime(path, kind).run({"pixels": pixels})["logits"], pixels + 1)
