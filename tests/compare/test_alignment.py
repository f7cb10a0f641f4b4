"""Paths of two results, told to be one by their ends."""

from __future__ import annotations

import pytest

from erythron.compare.alignment import align_paths
from erythron.errors import DataError


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], ["f.png"], {}),
        (["p1/f.png"], ["p1/f.png", "p2/f.png"], {"p1/f.png": "p1/f.png"}),
        (["p1/f.png", "p2/f.png"], ["p2/f.png", "p3/f.png"], {"p2/f.png": "p2/f.png"}),
        (["old/f.png"], ["/new/place/f.png"], {"/new/place/f.png": "old/f.png"}),
        (["in/p1/f.png", "in/p2/f.png"], ["x/p2/f.png", "x/p1/f.png"], {
            "x/p2/f.png": "in/p2/f.png", "x/p1/f.png": "in/p1/f.png",
        }),
        (["in/p1/f.png", "in/p2/f.png"], ["x/p1/f.png", "x/p3/f.png"], {"x/p1/f.png": "in/p1/f.png"}),
        (["p1/f.png"], ["C:\\in\\p1\\f.png", "C:\\in\\p2\\f.png"], {"C:\\in\\p1\\f.png": "p1/f.png"}),
        (["in/f.png", "in/p1/g.png"], ["x/f.png", "x/p1/g.png"], {
            "x/p1/g.png": "in/p1/g.png", "x/f.png": "in/f.png",
        }),
        (["in/f.png"], ["x/g.png"], {}),
    ],
)  # fmt: skip
def test_paths_are_one_by_their_longest_common_end(
    a: list[str], b: list[str], expected: dict[str, str]
) -> None:
    assert align_paths(a, b) == expected
    assert align_paths(b, a) == {ours: theirs for theirs, ours in expected.items()}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["p1/f.png", "p2/f.png"], ["f.png"]),
        (["p1/f.png", "p2/f.png"], ["p3/f.png"]),
        (["p1/f.png", "p2/f.png"], ["p3/f.png", "p4/f.png"]),
        (["x/p1/f.png", "y/p1/f.png"], ["z/p1/f.png", "z/g.png"]),
    ],
)
def test_what_may_be_either_of_two_is_refused(a: list[str], b: list[str]) -> None:
    for one, other in ((a, b), (b, a)):
        with pytest.raises(DataError, match=r"f\.png may be .*f\.png or .*f\.png, which end alike"):
            align_paths(one, other)
