"""The run-length encoding of COCO masks, plain and compressed.

Run lengths go down the columns of the image and start with one of unset pixels. The compressed form writes
each count, from the fourth on less the count two before it, in groups of five bits, lowest first, as
characters from ``0``; the sixth bit says that more follow (Lin et al. 2014, arXiv 1405.0312, and its
published API).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erythron.cells.outline import BoxedMask, trim_mask
from erythron.errors import DataError
from erythron.interchange.run_lengths import check_size, find_run_lengths


def encode_coco_rle(boxed: BoxedMask, width: int, height: int) -> dict[str, Any]:
    """Return the compressed encoding of a mask in an image of this size."""
    starts, stops = find_run_lengths(boxed.mask.T, boxed.left, boxed.top, height)
    ends = np.stack([starts, stops], axis=1).ravel()
    counts = np.diff(np.concatenate([[0], ends, [width * height]])).tolist()
    if counts[-1] == 0:
        counts.pop()
    return {"size": [height, width], "counts": _compress(counts)}


def decode_coco_rle(rle: Mapping[str, Any]) -> BoxedMask | None:
    """Return the mask of an encoding, plain or compressed; None where no pixel is set.

    Raises:
        DataError: the encoding is broken or does not fit its size.
    """
    try:
        height, width = rle["size"]
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("its mask has no size or no counts, so it is no COCO encoding") from error
    width, height = check_size(width, height)
    if isinstance(counts, str):
        counts = _expand(counts)
    values = np.asarray(counts)
    if values.dtype.kind not in "iu" or values.ndim != 1 or not len(values) or values.min() < 0:
        raise DataError("the counts of its mask are not whole numbers from 0")
    ends = np.cumsum(values, dtype=np.int64)
    if ends[-1] != width * height:
        raise DataError("the counts of its mask do not add up to its size; export it again")
    starts, stops = ends[:-1:2], ends[1::2]
    some = starts < stops
    return _columns_to_mask(starts[some], stops[some], height)


def _columns_to_mask(starts: NDArray[np.int64], stops: NDArray[np.int64], height: int) -> BoxedMask | None:
    """Return the mask of runs down columns of this height; only the columns in use are ever in memory."""
    if not len(starts):
        return None
    left, right = int(starts[0]) // height, (int(stops[-1]) - 1) // height + 1
    steps = np.zeros((right - left) * height + 1, np.int8)
    np.add.at(steps, starts - left * height, 1)
    np.add.at(steps, stops - left * height, -1)
    columns = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(right - left, height)
    return trim_mask(columns.T, left, 0)


def _compress(counts: list[int]) -> str:
    letters = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            low = value & 0x1F
            value >>= 5
            more = value != (-1 if low & 0x10 else 0)
            letters.append(chr(48 + (low | 0x20 if more else low)))
            if not more:
                break
    return "".join(letters)


def _expand(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 60:
            raise DataError("the compressed counts of its mask are broken; export it again")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError("the compressed counts of its mask end too early; export it again")
    return counts
