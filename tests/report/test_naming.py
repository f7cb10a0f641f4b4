"""Names of images on the page: short, and no two alike."""

from __future__ import annotations

import pytest

from erythron.report.naming import name_images


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/data/marrow/f01.png"], ["f01"]),
        (["a/p1/f.png", "a/p2/f.png"], ["p1/f", "p2/f"]),
        (["p1/s/f.png", "p2/s/f.png"], ["p1/s/f", "p2/s/f"]),
        (["f.png", "sub/f.png"], ["f", "sub/f"]),
        (["a/f.png", "a/f.tif"], ["f.png", "f.tif"]),
        (["a/f.png", "b/f.tif", "b/g.png"], ["a/f", "b/f", "g"]),
        (["001.png", "1.png"], ["001", "1"]),
        (["a.png", "a.png"], ["a", "a"]),
        (["array", ""], ["array", ""]),
    ],
)
def test_as_few_folders_as_tell_them_apart(paths: list[str], names: list[str]) -> None:
    found = name_images(paths)
    assert [found[path] for path in paths] == names
    assert len(set(found.values())) == len(found)
