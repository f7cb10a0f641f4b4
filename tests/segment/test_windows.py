"""Windows through a network, the place of their nuclei, and repeats dropped."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from erythron.segment.windows import OutlinedCells, find_distinct, join_cells, nucleus_centres, outline_points


class Discs:
    """A network that sees a nucleus of 8 px and a cell of 14 px in the middle of every window."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        count, size = inputs["pixels"].shape[:2]
        y, x = np.mgrid[:size, :size] + 0.5
        away = np.hypot(x - size / 2, y - size / 2)
        return {"probabilities": np.stack([np.stack([away < 8, away < 14])] * count).astype(np.float32)}


def outline(points):
    return outline_points(Discs(), np.full((120, 160, 3), 255, np.uint8), np.array(points, float), 48)


def test_a_nucleus_is_found_where_the_window_was_centred():
    points = np.array([[30.0, 40.0], [60.0, 100.0]])
    assert np.allclose(nucleus_centres(outline(points)), points)


def test_repeats_are_dropped_and_neighbours_kept():
    assert len(find_distinct(outline([[50, 50], [52, 51], [50, 70]]), 0.4)) == 2


def test_no_points_give_no_cells():
    found = outline(np.zeros((0, 2)))
    assert isinstance(found, OutlinedCells)
    assert found.maps.shape == (0, 2, 48, 48)


def test_cells_of_two_passes_are_joined_in_order():
    first, second = outline([[30, 40]]), outline([[60, 100], [90, 20]])
    both = join_cells(first, second)
    assert np.array_equal(both.take(np.array([0])).maps, first.maps)
    assert np.allclose(nucleus_centres(both), [[30, 40], [60, 100], [90, 20]])
    assert (both.score > 0.9).all()
