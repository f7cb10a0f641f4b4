"""What a network of a bundle may ask for; one from a stranger may have been made to harm.

A network is looked at in two steps. Before a program that computes networks sees its file, everything that
needs no image must be small: such programs compute it while they read. When its shapes are known, none of
its results may be of a size that depends on pixels, or that no machine should be asked for.
"""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from erythron.bundle.onnx_file import Network, OnnxFileError, read_onnx
from erythron.errors import BundleError
from erythron.files.reading import read_content

if TYPE_CHECKING:
    import openvino

MOST_CONSTANTS = 2**24
"""Numbers in a result that is made of constants alone: 64 MiB in float32, over twenty times the largest layer
of the networks that ship."""

MOST_BYTES = 2**32
"""Of all results of a network for eight cells: twenty times those of the networks that ship. A program that
computes it holds a part of them at a time."""

_RANK = 8
"""Axes of a result, for the length of its shape."""

_BROADCAST = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Max",
        "Min",
        "Mod",
        "Sum",
        "Mean",
        "Where",
        "And",
        "Or",
        "Xor",
        "Equal",
        "Greater",
        "Less",
        "GreaterOrEqual",
        "LessOrEqual",
    ]
)
_KEEPS_SHAPE = frozenset(
    [
        "Abs",
        "Cast",
        "Ceil",
        "CastLike",
        "Clip",
        "DequantizeLinear",
        "Erf",
        "Exp",
        "Floor",
        "Identity",
        "Log",
        "Neg",
        "Not",
        "QuantizeLinear",
        "Reciprocal",
        "Relu",
        "Round",
        "Sigmoid",
        "Softmax",
        "Sqrt",
        "Tanh",
    ]
)
"""Operations that give as many numbers as their first input has."""
_KEEPS_COUNT = frozenset(
    [
        "Flatten",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceL2",
        "ReduceSumSquare",
        "Reshape",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operations that give no more numbers than their first input has."""
_TAKES_DATA = _BROADCAST | frozenset(["Concat", "MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "PRelu"])
"""Operations that take no size or setting as a value: all that they take is computed with."""
_TAKES_SIZES = frozenset(
    ["ConstantOfShape", "Range", "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix"]
)
"""Operations whose first input is already a size."""


class _Bound(NamedTuple):
    """How many numbers a result has at most, and its shape where that is known."""

    numbers: int
    shape: tuple[int, ...] | None = None


def check_file(path: Path) -> None:
    """Refuse the file of a network that would read another file or take memory that it does not state.

    Args:
        path: of an ONNX file.

    Raises:
        BundleError: it is such a file, or no ONNX network.
    """
    try:
        _check_constants(read_onnx(read_content(path)))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the bundle again") from error
    except OnnxFileError as error:
        raise BundleError(f"{path}: the network {error}; export it again with erythron") from error


def _check_constants(network: Network) -> None:
    """Refuse sizes and settings that are made of constants through results of unknown size.

    A chain such as a constant of a million by a million, its sum, and a shape made of that sum is computed by
    OpenVINO while it reads the network, so that its size has to be known before.
    """
    known: dict[str, _Bound | None] = {name: _measure(shape) for name, shape in network.weights.items()}
    for node in network.nodes:
        for place, name in enumerate(node.inputs):
            if name not in known or known[name] is not None:
                continue
            if node.kind in _TAKES_SIZES or (place and node.kind not in _TAKES_DATA):
                raise OnnxFileError(f"makes a size or setting of {node.kind} of results of any size")
        if node.kind in ("Shape", "Size"):
            made: _Bound | None = _Bound(_RANK)
        elif node.kind == "Constant":
            made = _measure(node.constant or ())
        elif node.inputs and all(name in known or not name for name in node.inputs):
            made = _bound(node.kind, [known[name] for name in node.inputs if name])
        else:
            continue
        known.update(dict.fromkeys(node.outputs, made))


def _measure(shape: tuple[int, ...]) -> _Bound:
    return _Bound(math.prod(shape), shape)


def _bound(kind: str, taken: list[_Bound | None]) -> _Bound | None:
    """Return how large the result of constants is at most, None where nothing bounds it."""
    bounds = [bound for bound in taken if bound is not None]
    if not bounds or len(bounds) < len(taken):
        return None
    if kind in _BROADCAST:
        made = _broadcast(bounds)
    elif kind in _KEEPS_SHAPE:
        made = bounds[0]
    elif kind in _KEEPS_COUNT:
        made = _Bound(bounds[0].numbers)
    elif kind == "Concat":
        made = _Bound(sum(bound.numbers for bound in bounds))
    elif kind == "Gather":
        made = _Bound(math.prod(bound.numbers for bound in bounds))
    else:
        return None
    return made if made.numbers <= MOST_CONSTANTS else None


def _broadcast(bounds: list[_Bound]) -> _Bound:
    """Return the bound of what is computed number by number, smaller shapes repeated to fit."""
    shapes = [bound.shape for bound in bounds if bound.shape is not None]
    if len(shapes) == len(bounds):
        with suppress(ValueError):  # shapes that do not fit, which the program that computes refuses
            return _measure(np.broadcast_shapes(*shapes))
    return _Bound(math.prod(bound.numbers for bound in bounds))


def check_shapes(path: Path, model: openvino.Model) -> None:
    """Refuse a network with a result whose size is not known before it computes, or with too large ones.

    Args:
        path: of its file, for the message.
        model: with a batch of a known size.

    Raises:
        BundleError: it is such a network.
    """
    total = 0
    for operation in model.get_ops():
        for result in operation.outputs():
            shape = result.get_partial_shape()
            if shape.is_dynamic:
                raise BundleError(
                    f"{path}: the network's {operation.get_type_name()} makes a result of a size that "
                    "depends on the image; export it again with erythron"
                )
            total += math.prod(shape.to_shape()) * result.get_element_type().size
    if total > MOST_BYTES:
        raise BundleError(
            f"{path}: the network asks for {total / 2**30:.0f} GiB for eight cells, over "
            f"{MOST_BYTES // 2**30} GiB; export a smaller one"
        )
