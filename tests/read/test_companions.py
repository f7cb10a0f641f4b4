"""Files beside a slide that belong to it are no further inputs."""

from __future__ import annotations

from pathlib import Path

from tests.read.dicom import write_dicom
from tests.read.slides import make_pixels

from erythron.read.companions import find_companions, list_slide_files
from erythron.read.inputs import search_images

RGB = make_pixels(130, 140)


def test_the_folder_of_an_mrxs_and_the_pictures_of_a_vms_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thumb.jpg").touch()
    (tmp_path / "a.mrxs").touch()
    (tmp_path / "b.vms").write_text(
        "[Virtual Microscope Specimen]\nNoLayers=1\nImageFile=b-1.jpg\nMapFile=b-map.jpg\n"
    )
    for name in ("b-1.jpg", "b-map.jpg", "c.jpg"):
        (tmp_path / name).touch()
    found = search_images([tmp_path])
    assert [i.relative.as_posix() for i in found.images] == ["a.mrxs", "b.vms", "c.jpg"]
    assert found.left_out == []


def test_a_dicom_series_is_one_slide_in_a_folder_and_by_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_dicom(tmp_path / name, RGB)
    found = search_images([tmp_path])
    assert [i.relative.as_posix() for i in found.images] == ["one/level-0.dcm", "two/level-0.dcm"]
    named = search_images(sorted((tmp_path / "one").iterdir()))
    assert [i.path.name for i in named.images] == ["level-0.dcm"]
    assert named.left_out == [(tmp_path / "one" / "level-1.dcm", "is a part of the slide level-0.dcm")]


def test_two_series_in_one_folder_are_two_slides(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        for path in write_dicom(tmp_path / name, RGB):
            path.rename(tmp_path / f"{name}-{path.name}")
    assert [i.path.name for i in search_images([tmp_path]).images] == ["x-level-0.dcm", "y-level-0.dcm"]


def test_what_cannot_be_read_belongs_to_none(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert find_companions([tmp_path / "a.dcm", tmp_path / "gone.dcm", tmp_path / "gone.vms"]) == {}


def test_all_files_of_a_slide_are_listed_and_no_other(tmp_path: Path) -> None:
    paths = write_dicom(tmp_path, RGB)
    (tmp_path / "a" / "deep").mkdir(parents=True)
    names = ["a.mrxs", "a/Slidedat.ini", "a/deep/Data0001.dat", "b.vms", "b-1.jpg", "c.jpg"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "b.vms").write_text("ImageFile=b-1.jpg\nMapFile=gone.jpg\n")
    listed = [path.relative_to(tmp_path).as_posix() for path in list_slide_files(tmp_path / "a.mrxs")]
    assert listed == names[:3]
    assert list_slide_files(tmp_path / "b.vms") == (tmp_path / "b.vms", tmp_path / "b-1.jpg")
    assert list_slide_files(paths[1]) == (paths[1], paths[0])
    for name in ("c.jpg", "gone.dcm"):
        assert list_slide_files(tmp_path / name) == (tmp_path / name,)
