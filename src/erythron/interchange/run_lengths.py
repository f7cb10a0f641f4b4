"""Masks as runs: what the run-length encodings of COCO and Label Studio have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erythron.errors import DataError
from erythron.read.fields import MAX_PIXELS

RunLengths = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First and first-outside position of every run of set pixels, line after line, rising."""


def check_size(width: object, height: object) -> tuple[int, int]:
    """Return the size of an image as a file states it.

    Raises:
        DataError: it is no size, or larger than any image that is read.
    """
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
        raise DataError(f"its image is stated to be {width} x {height} pixels, which is no size")
    if width * height > MAX_PIXELS:
        raise DataError(f"its image is stated to be {width} x {height} pixels, more than are read")
    return width, height


def find_run_lengths(lines: NDArray[np.bool_], first_line: int, first: int, length: int) -> RunLengths:
    """Return the runs of a piece of a larger mask whose lines are stored one after the other.

    Args:
        lines: (n, m) bool; the lines of the piece.
        first_line: which line of the mask the first one is.
        first: where on its line the piece begins.
        length: of a line of the mask; a run that reaches over its end goes on with the next line.
    """
    padded = np.pad(lines, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    line, start = np.nonzero(steps == 1)
    stop = np.nonzero(steps == -1)[1]
    offset = (line + first_line) * length + first
    starts, stops = start + offset, stop + offset
    apart = starts[1:] != stops[:-1]
    return starts[np.append(True, apart)[: len(starts)]], stops[np.append(apart, True)[: len(stops)]]
