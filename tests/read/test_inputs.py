"""Which files a command works on, and under which relative names."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.errors import UsageError
from erythron.read.inputs import InputImage, find_images


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_folder_gives_its_images_sorted_by_relative_path(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.tif", "a.png", "notes.txt", ".hidden.png", ".cache/x.png", "b/._2.JPG"):
        touch(tmp_path / name)
    found = find_images([tmp_path])
    assert [i.relative.as_posix() for i in found] == ["a.png", "b/1.tif", "b/2.JPG"]
    assert all(i.path == tmp_path / i.relative for i in found)


def test_files_keep_their_order_and_go_by_name(tmp_path: Path) -> None:
    second = touch(tmp_path / "z" / "field.png")
    first = touch(tmp_path / "y" / "strange.dat")
    assert find_images([str(second), first]) == [
        InputImage(second, Path("field.png")),
        InputImage(first, Path("strange.dat")),
    ]


def test_missing_path_is_kept_for_the_reader_to_name(tmp_path: Path) -> None:
    missing = tmp_path / "gone" / "a.png"
    assert find_images([missing]) == [InputImage(missing, Path("a.png"))]


def test_hidden_folder_given_by_name_is_searched(tmp_path: Path) -> None:
    image = touch(tmp_path / ".scans" / "a.bmp")
    assert find_images([tmp_path / ".scans"]) == [InputImage(image, Path("a.bmp"))]


def test_folder_without_images_is_wrong_usage(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    with pytest.raises(UsageError, match=r"\.png") as caught:
        find_images([tmp_path])
    assert str(tmp_path) in str(caught.value)


def test_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [i.relative.as_posix() for i in find_images([tmp_path])] == ["a.png"]
