"""The run-length encoding of Label Studio's brush: the bytes of a grey RGBA image as a stream of bits.

The stream begins with the number of bytes (32 bits), the width of a value less one (5 bits) and four widths
of run lengths, each less one (4 bits each). Then come runs: a bit that is 1 for one repeated value and 0 for
a list of values, the index of the width (2 bits), the length less one, and the value or values (the format
of npm ``@thi.ng/rle-pack``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erythron.cells.outline import BoxedMask, trim_mask
from erythron.errors import DataError
from erythron.interchange.run_lengths import check_size, find_run_lengths

_CHANNELS = 4
_VALUE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
_INSIDE = 255


def encode_brush(boxed: BoxedMask, width: int, height: int) -> list[int]:
    """Return the encoding of a mask in an image of this size, one number 0 to 255 a byte."""
    starts, stops = find_run_lengths(boxed.mask, boxed.top, boxed.left, width)
    ends = np.stack([starts, stops], axis=1).ravel()
    lengths = np.diff(np.concatenate([[0], ends, [width * height]])) * _CHANNELS
    bits = [f"{width * height * _CHANNELS:032b}{_VALUE_BITS - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _LENGTH_BITS]
    for i, length in enumerate(lengths.tolist()):
        value = _INSIDE if i % 2 else 0
        while length:
            piece = min(length, 1 << _LENGTH_BITS[-1])
            index = next(k for k, size in enumerate(_LENGTH_BITS) if piece <= 1 << size)
            bits.append(f"1{index:02b}{piece - 1:0{_LENGTH_BITS[index]}b}{value:0{_VALUE_BITS}b}")
            length -= piece
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode_brush(rle: Sequence[int], width: object, height: object) -> BoxedMask | None:
    """Return the pixels that the brush covers by half or more; None where it covers none.

    Args:
        rle: the encoding.
        width: of the image.
        height: of the image.

    Raises:
        DataError: the encoding is broken or of an image of another size.
    """
    width, height = check_size(width, height)
    try:
        # bytes() of a number would be as many zeros.
        stream = _Bits(bytes(list(rle)))
    except (TypeError, ValueError) as error:
        raise DataError("its brush is not a list of bytes; export it again") from error
    if stream.read(32) != width * height * _CHANNELS:
        raise DataError("its brush is of an image of another size; export it again")
    cover = _read_values(stream, width * height * _CHANNELS)[_CHANNELS - 1 :: _CHANNELS]
    inside = (cover > _INSIDE // 2).reshape(height, width)
    return trim_mask(inside)


def _read_values(stream: _Bits, count: int) -> NDArray[np.uint8]:
    value_bits = stream.read(5) + 1
    if value_bits != _VALUE_BITS:
        raise DataError(f"its brush has values of {value_bits} bits; those of {_VALUE_BITS} are read")
    sizes = [stream.read(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        repeated = stream.read(1)
        length = stream.read(sizes[stream.read(2)]) + 1
        if at + length > count:
            raise DataError("its brush has more values than its image; export it again")
        if repeated:
            values[at : at + length] = stream.read(value_bits)
        else:
            values[at : at + length] = [stream.read(value_bits) for _ in range(length)]
        at += length
    return values


class _Bits:
    """Reads numbers of any width, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, bits: int) -> int:
        stop = self._at + bits
        last = (stop + 7) // 8
        if last > len(self._data):
            raise DataError("its brush ends too early; export it again")
        number = int.from_bytes(self._data[self._at // 8 : last], "big")
        self._at = stop
        return (number >> (-stop % 8)) & ((1 << bits) - 1)
