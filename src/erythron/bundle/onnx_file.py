"""What an ONNX file says of itself, read before a program that computes networks sees the file.

Such programs open the files that a network names as holding its weights, wherever they lie, and take the
memory that it asks for. ONNX files are Protocol Buffers (https://protobuf.dev/programming-guides/encoding);
the numbers of fields are those of ``onnx.proto3``. Weights are skipped, not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

Value = int | memoryview
"""Of a field: a whole number, or the bytes of a text or of a message within."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class OnnxFileError(Exception):
    """The file is no ONNX network, or one that is refused; the text says what it does."""


@dataclass(frozen=True)
class Node:
    """One operation of a network.

    Attributes:
        kind: of operation, such as ``Conv``.
        inputs: names of what it takes.
        outputs: names of what it makes.
        constant: shape of the constant that it holds, None where it holds none.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: tuple[int, ...] | None


@dataclass
class Network:
    """A network as its file describes it.

    Attributes:
        weights: shapes of what it stores, by name.
        nodes: its operations, in the order in which they are computed.
    """

    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)


def read_onnx(content: bytes) -> Network:
    """Read what a network stores and computes.

    Raises:
        OnnxFileError: the bytes are no ONNX network; or the network keeps weights in another file, states
            sizes that it does not store, or has operations, loops or branches of its own.
    """
    network = Network()
    for number, value in _read_once(memoryview(content), {7}):
        if number == 7:
            _read_graph(_need_message(value), network)
        elif number == 25:
            raise OnnxFileError("defines operations of its own")
        elif number == 20:
            raise OnnxFileError("holds steps of a training")
    if not network.nodes:
        raise OnnxFileError("holds no network")
    return network


def _read_graph(graph: memoryview, network: Network) -> None:
    for number, value in _read_fields(graph):
        if number == 1:
            network.nodes.append(_read_node(_need_message(value)))
        elif number == 5:
            name, shape = _read_tensor(_need_message(value))
            network.weights[name] = shape
        elif number == 15:
            raise OnnxFileError("stores weights that are larger in memory than in the file")


def _read_node(node: memoryview) -> Node:
    kind = ""
    names: tuple[list[str], list[str]] = ([], [])
    shape: tuple[int, ...] | None = None
    for number, value in _read_fields(node):
        if number in (1, 2):
            names[number - 1].append(_read_text(value))
        elif number == 4:
            kind = _read_text(value)
        elif number == 7 and _read_text(value) not in ("", "ai.onnx"):
            raise OnnxFileError(f"computes something of {_read_text(value)!r}, which is no part of ONNX")
        elif number == 5:
            held = _read_attribute(_need_message(value))
            shape = held if held is not None else shape
    return Node(kind, tuple(names[0]), tuple(names[1]), shape)


def _read_attribute(attribute: memoryview) -> tuple[int, ...] | None:
    """Return the shape of what an attribute holds, None where it holds no numbers."""
    shape, listed = None, 0
    for number, value in _read_once(attribute, {5}):
        if number in (6, 11):
            raise OnnxFileError("has loops or branches")
        if number in (22, 23):
            raise OnnxFileError("stores weights that are larger in memory than in the file")
        if number in (5, 10):
            shape = _read_tensor(_need_message(value))[1]
        elif number in (2, 3):
            shape = ()
        elif number in (7, 8):  # numbers in one packed run, or one by one
            listed += len(value) if isinstance(value, memoryview) else 1
    return (listed,) if listed else shape


def _read_tensor(tensor: memoryview) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of a tensor."""
    name = ""
    sizes: list[int] = []
    for number, value in _read_fields(tensor):
        if number == 1:
            sizes += [value] if isinstance(value, int) else _read_packed(value)
        elif number == 8:
            name = _read_text(value)
        elif number == 13 or (number == 14 and value):
            raise OnnxFileError("keeps weights in another file")
    # Two numbers to a byte are the most that ONNX packs, and four are what newer releases plan.
    if math.prod(sizes) > 4 * len(tensor):
        raise OnnxFileError("states sizes of weights that it does not store")
    return name, tuple(sizes)


def _read_packed(run: memoryview) -> list[int]:
    sizes = []
    at = 0
    while at < len(run):
        size, at = _read_varint(run, at)
        sizes.append(size)
    return sizes


def _read_text(value: Value) -> str:
    return str(_need_message(value), "utf-8", "replace")


def _need_message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise OnnxFileError("is no ONNX network")
    return value


def _read_once(message: memoryview, single: set[int]) -> Iterator[tuple[int, Value]]:
    """Give the fields of a message; one that is there twice, which readers merge, is refused."""
    seen = set()
    for number, value in _read_fields(message):
        if number in single and number in seen:
            raise OnnxFileError("is no ONNX network: it holds two of what there is one of")
        seen.add(number)
        yield number, value


def _read_fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Give the fields of a message in their order, as number and value."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            length, at = _read_varint(message, at)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise OnnxFileError("is no ONNX network")
        end = at + length
        if end > len(message):
            raise OnnxFileError("is no ONNX network, or is cut short")
        yield tag >> 3, message[at:end] if wire == _BYTES else 0
        at = end


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the whole number that begins at a byte, and where the next thing begins."""
    number = shift = 0
    for place, byte in enumerate(message[at : at + _LONGEST_VARINT], at + 1):
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7
    raise OnnxFileError("is no ONNX network, or is cut short")
