"""Masks as runs: the runs of the whole image, found in the mask's own box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from erythron.cells.outline import trim_mask
from erythron.errors import DataError
from erythron.interchange.run_lengths import check_size, find_run_lengths
from erythron.read.fields import MAX_PIXELS


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_runs_of_a_box_are_those_of_the_image_read_line_after_line(image: NDArray[np.bool_]) -> None:
    boxed = trim_mask(image)
    if boxed is None:
        return
    starts, stops = find_run_lengths(boxed.mask, boxed.top, boxed.left, image.shape[1])
    steps = np.diff(np.pad(image.ravel().astype(int), 1))
    np.testing.assert_array_equal(starts, np.flatnonzero(steps == 1))
    np.testing.assert_array_equal(stops, np.flatnonzero(steps == -1))


def test_a_run_goes_on_over_the_end_of_its_line() -> None:
    starts, stops = find_run_lengths(np.ones((3, 4), np.bool_), 1, 0, 4)
    assert (starts.tolist(), stops.tolist()) == ([4], [16])


def test_nothing_has_no_runs() -> None:
    starts, stops = find_run_lengths(np.zeros((3, 4), np.bool_), 0, 0, 4)
    assert (len(starts), len(stops)) == (0, 0)


def test_a_size_that_is_read_is_returned() -> None:
    assert check_size(30, 20) == (30, 20)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((0, 5), "no size"), ((5, -1), "no size"), (("5", 5), "no size"), ((5, None), "no size"),
     ((5.0, 5), "no size"), ((MAX_PIXELS, 2), "more than are read")],
)  # fmt: skip
def test_what_is_no_size_is_said(size: tuple[Any, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        check_size(*size)
