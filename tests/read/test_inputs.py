"""Which files a command works on, and under which relative names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from erythron.errors import UsageError
from erythron.read.inputs import OWN_PICTURE, InputImage, find_images, search_images


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


def test_the_folder_of_the_results_is_no_input(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "out" / "b.png")
    found = search_images([tmp_path], tmp_path / "out")
    assert [i.relative.as_posix() for i in found.images] == ["a.png"]
    assert found.left_out == [(tmp_path / "out", "is where the results go")]
    # Where it is the folder of the images itself, these are still inputs.
    same = search_images([tmp_path], tmp_path)
    assert [i.relative.as_posix() for i in same.images] == ["a.png", "out/b.png"]


def test_results_masks_and_thumbnails_are_no_inputs_and_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "run" / "a" / "record.json")
    touch(tmp_path / "run" / "a" / "overlay.png")
    touch(tmp_path / "@eaDir" / "a.png" / "SYNOPHOTO_THUMB_M.jpg")
    touch(tmp_path / "set" / "crops" / "c.png")
    touch(tmp_path / "set" / "masks" / "c.png")
    for name in ("a_mask.png", "a-mask.tif", "field.mask.png", "slide.czi"):
        touch(tmp_path / name)
    text = PngInfo()
    text.add_text(OWN_PICTURE, "0" * 64)
    Image.new("L", (20, 20)).save(tmp_path / "plain.png", pnginfo=text)
    stated = {270: f"{OWN_PICTURE}: {'0' * 64}"}
    Image.effect_noise((900, 900), 50).convert("CMYK").save(
        tmp_path / "four.tif", compression="tiff_deflate", tiffinfo=stated
    )
    found = search_images([tmp_path])
    assert [i.relative.as_posix() for i in found.images] == ["a.png", "set/crops/c.png"]
    assert {path.relative_to(tmp_path).as_posix() for path, _ in found.left_out} == {
        "run/a", "@eaDir", "set/masks", "a_mask.png", "a-mask.tif", "field.mask.png", "slide.czi",
        "plain.png", "four.tif",
    }  # fmt: skip


def test_a_mask_given_by_name_is_taken(tmp_path: Path) -> None:
    mask = touch(tmp_path / "a_mask.png")
    assert find_images([mask]) == [InputImage(mask, Path("a_mask.png"))]


def test_a_finished_run_given_as_input_is_wrong_usage(tmp_path: Path) -> None:
    touch(tmp_path / "run" / "a" / "record.json")
    touch(tmp_path / "run" / "a" / "overlay.png")
    with pytest.raises(UsageError, match="results of erythron"):
        find_images([tmp_path / "run"])


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "real" / "a.png")
    touch(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "real")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "linked2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "in")
    found = [i.relative.as_posix() for i in find_images([tmp_path / "in"])]
    assert found == ["linked/b.png", "real/a.png"]


def test_a_folder_that_may_not_be_read_is_kept_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "shut" / "b.png")
    real = Path.iterdir

    def iterdir(self: Path) -> object:
        if self.name == "shut":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [i.relative.as_posix() for i in find_images([tmp_path])] == ["a.png", "shut"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("field.png", "field"), ("a.b.tif", "a.b"), ("sub/x.png", "sub/x"), ("..png", "..png"),
        ("...png", "...png"), ("run.json.png", "run.json.png"), ("s/Summary.CSV.jpg", "s/Summary.CSV.jpg"),
        ("noend", "noend"), (".hidden.png", ".hidden"), ("b\udcff.png", "b\udcff"),
    ],
)  # fmt: skip
def test_results_never_go_into_the_run_itself_or_over_its_files(name: str, place: str) -> None:
    assert InputImage(Path("in") / name, Path(name)).place == Path(place)


def test_the_name_of_an_image_is_text(tmp_path: Path) -> None:
    assert InputImage(Path("b\udcff.png"), Path("b\udcff.png")).name == "b\\udcff.png"


def test_a_file_that_is_given_twice_by_two_spellings_is_one_input(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f.png").write_bytes(b"")
    again = tmp_path / "a" / ".." / "a" / "f.png"
    found = search_images([tmp_path / "a" / "f.png", again, tmp_path / "a"])
    assert [image.path for image in found.images] == [tmp_path / "a" / "f.png"]
    assert [path for path, _ in found.left_out] == [again, tmp_path / "a" / "f.png"]
    assert all("given twice" in reason for _, reason in found.left_out)
