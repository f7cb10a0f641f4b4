"""Images whose names differ in their suffix alone are all done, and none loses its place when others join."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.datasets.mask_folders import pair_masks
from erythron.errors import UsageError
from erythron.files.tables import read_csv
from erythron.pipeline.added import NewImage, add_image
from erythron.pipeline.count import count_images
from erythron.pipeline.extract import extract_cells
from erythron.pipeline.finished import find_run
from erythron.pipeline.mask import MaskOptions, mask_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.places import PlaceChoice, check_distinct, choose_places
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import InputImage, find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field

OPTIONS = RunOptions(mpp=0.25)


def choose(*names: str, done: tuple[str, ...] = (), gone: tuple[str, ...] = ()) -> list[str]:
    """Places of images of these names, where ``done`` are ``name>place`` and ``gone`` are not there."""
    choices = [PlaceChoice(Path(n).with_suffix(""), Path(n), n not in gone) for n in names]
    found = choose_places(choices, lambda number, place: f"{names[number]}>{place}" in done)
    return [place.as_posix() for place in found]


def test_names_that_differ_in_the_suffix_alone_keep_it_and_no_others_do() -> None:
    assert choose("a.jpg", "a.png", "b.png") == ["a.jpg", "a.png", "b"]
    assert choose("p/a.jpg", "p/a.png", "q/a.png") == ["p/a.jpg", "p/a.png", "q/a"]
    # What keeps its suffix may itself be the name of another without it.
    assert choose("a.jpg", "a.png", "a.jpg.png") == ["a.jpg", "a.png", "a.jpg.png"]
    assert choose("x.png", "x/y.png") == ["x.png", "x/y"]


def test_what_is_done_keeps_its_place_whatever_joins_or_goes() -> None:
    assert choose("a.jpg", "a.png", done=("a.png>a",)) == ["a.jpg", "a"]
    assert choose("a.png", done=("a.png>a.png",)) == ["a.png"]
    assert choose("a.bmp", "a.jpg", "a.png", done=("a.png>a.png", "a.jpg>a.jpg")) == ["a", "a.jpg", "a.png"]
    assert choose("a.bmp", "a.jpg", "a.png", done=("a.png>a",)) == ["a.bmp", "a.jpg", "a"]


def test_a_name_that_is_no_file_changes_the_place_of_no_other() -> None:
    assert choose("a.jpg", "a.png", gone=("a.jpg",)) == ["a.jpg", "a"]


def test_two_inputs_with_one_output_are_refused_by_name() -> None:
    first, second = (InputImage(Path(p), Path(p).relative_to(Path(p).parent)) for p in ("x/a.png", "y/a.jpg"))
    check_distinct([(first, Path("a")), (second, Path("b"))])
    with pytest.raises(UsageError, match=r"x/a\.png and y/a\.jpg"):
        check_distinct([(first, Path("a")), (second, Path("a"))])


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a.png`` and ``a.jpg`` of two fields, and ``a.bmp`` with the pixels of the first."""
    folder = tmp_path_factory.mktemp("in")
    for seed, name in ((1, "a.png"), (2, "a.jpg"), (1, "a.bmp")):
        Image.fromarray(draw_field(DrawnFieldSpec(150, 110, seed=seed)).rgb).save(folder / name)
    return folder


def list_results(out: Path) -> dict[str, str]:
    """Name of the image whose results lie in each folder of a run."""
    return {
        table.parent.relative_to(out).as_posix(): Path(read_csv(table)["image"][0]).name
        for table in sorted(out.rglob("*/cells.csv"))
    }


def test_a_jpg_beside_a_png_of_its_name_is_counted_too(fields: Path, tmp_path: Path) -> None:
    run = count_images(find_images([fields]), tmp_path, OPTIONS)
    assert run.failures == ()
    # The same pixels under two endings are one field of the specimen.
    assert [Path(image).name for image, _ in run.fields] == ["a.bmp", "a.jpg"]
    assert "repeated_images" in {flag.name for flag in run.differential.flags}
    assert list_results(tmp_path) == {"a.bmp": "a.bmp", "a.jpg": "a.jpg", "a.png": "a.png"}
    assert {path.name: folder.name for path, folder in find_run(tmp_path).folders.items()} == {
        name: name for name in ("a.bmp", "a.jpg", "a.png")
    }


def test_a_finished_field_keeps_its_folder_and_calls_when_others_of_its_name_join(
    fields: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    count_images(find_images([fields / "a.png"]), out, OPTIONS)
    head, first, *rest = (out / "a" / "cells.csv").read_text().splitlines(keepends=True)
    columns, row = head.rstrip("\n").split(","), first.rstrip("\n").split(",")
    row[columns.index("counted_as")] = "not_a_cell"
    (out / "a" / "cells.csv").write_text(head + ",".join(row) + "\n" + "".join(rest))
    recount(out, [out / "a" / "cells.csv"], Reading("A. Reader", datetime(2026, 5, 4, tzinfo=UTC)))
    before = {path: path.stat().st_mtime_ns for path in (out / "a").rglob("*.json")}
    both = find_images([fields / "a.jpg", fields / "a.png"])
    run = count_images(both, out, OPTIONS)
    assert len(run.fields) == 2
    assert run.review is not None
    assert list_results(out) == {"a": "a.png", "a.jpg": "a.jpg"}
    kept = {path for path in before if path.stat().st_mtime_ns == before[path]}
    assert out / "a" / "review.json" in kept
    assert count_images(both[::-1], out, OPTIONS).failures == ()
    assert list_results(out) == {"a": "a.png", "a.jpg": "a.jpg"}


def test_an_image_of_an_alike_name_that_failed_hinders_no_recount(fields: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "run"
    images.mkdir()
    shutil.copy(fields / "a.png", images)
    (images / "a.jpg").write_bytes(b"no picture")
    assert len(count_images(find_images([images]), out, OPTIONS).failures) == 1
    folders = find_run(out).folders
    assert len(set(folders.values())) == 2
    # A picture that a program sends does not take the folder of another.
    assert add_image(out, NewImage(fields / "a.bmp", "", "sent", 0.25)) is None
    assert list_results(out) == {"a.bmp": "a.bmp", "a.png": "a.png"}


def test_cells_and_masks_of_alike_names_are_kept_apart(fields: Path, tmp_path: Path) -> None:
    png, both = find_images([fields / "a.png"]), find_images([fields / "a.jpg", fields / "a.png"])
    assert extract_cells(png, tmp_path / "cut", OPTIONS).failures == ()
    assert extract_cells(both, tmp_path / "cut", OPTIONS).failures == ()
    assert list_results(tmp_path / "cut") == {"a": "a.png", "a.jpg": "a.jpg"}
    options = MaskOptions(every_cell=True, mpp=0.25)
    assert mask_images(png, tmp_path / "masks", options).written == 1
    later = mask_images(both, tmp_path / "masks", options)
    assert (later.written, later.kept, later.failures) == (1, 1, ())
    assert sorted(path.name for path in (tmp_path / "masks").glob("*.png")) == ["a.jpg.png", "a.png"]


def test_a_mask_that_keeps_the_suffix_of_its_image_is_found(tmp_path: Path) -> None:
    grey = np.zeros((4, 4), np.uint8)
    grey[1:3, 1:3] = 255
    names = ("a.jpg", "a.png", "masks/a.jpg.png", "masks/a.png.png")
    (tmp_path / "masks").mkdir()
    for name in names:
        Image.fromarray(grey).save(tmp_path / name)
    paired = pair_masks(tmp_path, [tmp_path / name for name in names])
    assert {image.name: mask.name for image, mask in paired.mask_of.items()} == {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
    }
