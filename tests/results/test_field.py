"""The folder of a counted field: what lies in it, when it is whole, and what is written anew."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from erythron.errors import DataError, UsageError
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import OWN_PICTURE, find_images
from erythron.results.field import (
    GEOJSON,
    OWN_FILES,
    PAGE,
    is_whole,
    need_record,
    read_cells,
    read_differential,
    read_field,
    read_page,
    refuse_foreign_folder,
    replace_differential,
    replace_page,
)
from erythron.results.record import RECORD
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("field")
    Image.fromarray(draw_field(DrawnFieldSpec(200, 180, seed=3)).rgb).save(place / "f.png")
    assert count_images(find_images([place / "f.png"]), place / "run", RunOptions(mpp=0.25)).failures == ()
    return place / "run" / "f"


@pytest.fixture
def folder(counted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(counted, tmp_path / "f"))


def test_a_number_that_was_changed_in_a_differential_is_not_believed(folder: Path) -> None:
    path = folder / "differential.json"
    content = json.loads(path.read_text())
    content["nucleated_cells"] += 100
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"differential\.json: was changed after the count"):
        read_field(folder)


def test_the_record_of_another_image_does_not_name_the_cells_of_this_one(folder: Path) -> None:
    path = folder / RECORD
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "image": "other.png", "cells_sha256": "0" * 64}))
    with pytest.raises(DataError, match=r"cells\.csv: is not the table that was counted.*recount"):
        read_field(folder)


@pytest.mark.parametrize("name", sorted(set(OWN_FILES) - {PAGE}))
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_folder_is_whole_while_each_of_its_files_is_there_and_not_empty(
    name: str, is_gone: bool, folder: Path
) -> None:
    assert is_whole(folder)
    (folder / name).unlink()
    if not is_gone:
        (folder / name).touch()
    assert not is_whole(folder)
    # A file of one byte is no empty one; that it says nothing is for its reader to tell.
    (folder / name).write_bytes(b"x")
    assert is_whole(folder)


def test_the_page_is_made_anew_and_its_loss_does_not_count(folder: Path) -> None:
    (folder / PAGE).unlink()
    assert is_whole(folder)
    assert read_page(folder) is None


def test_the_overlay_says_that_it_is_no_image_of_a_smear(folder: Path) -> None:
    with Image.open(folder / "overlay.png") as overlay:
        assert overlay.info[OWN_PICTURE] == "overlay.png"


def test_another_differential_and_page_are_written_with_their_record(folder: Path) -> None:
    found = read_field(folder)
    other = replace(found.differential, classes=found.differential.classes[::-1])
    steps = replace(found.record.fingerprints, differential="other", page="another")
    record = found.record.model_copy(update={"fingerprints": steps})
    replace_differential(folder, record, other)
    assert read_differential(folder).classes == other.classes
    assert need_record(folder).fingerprints.differential == "other"
    page = read_page(folder)
    assert page is not None
    (folder / PAGE).unlink()
    (folder / RECORD).unlink()
    replace_page(folder, record, page)
    assert need_record(folder).fingerprints.page == "another"
    assert read_page(folder) is not None


def test_a_folder_in_which_another_s_file_lies_is_refused_by_that_file(folder: Path, tmp_path: Path) -> None:
    refuse_foreign_folder(folder)
    refuse_foreign_folder(tmp_path / "nothing")
    (folder / RECORD).unlink()
    with pytest.raises(UsageError, match=r"cells\.csv is there and erythron did not write it"):
        refuse_foreign_folder(folder)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file that is not erythron's"):
        refuse_foreign_folder(tmp_path / "file")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    refuse_foreign_folder(tmp_path / "notes")


def test_a_field_without_a_record_is_said_to_be_none(folder: Path) -> None:
    (folder / RECORD).unlink()
    with pytest.raises(DataError, match="no readable"):
        need_record(folder)


def test_cells_and_outlines_are_in_one_order(folder: Path) -> None:
    found = read_field(folder)
    assert [outline.cell_id for outline in found.outlines] == found.cells["cell_id"].to_list()
    assert len(found.outlines) > 3


def test_a_cell_whose_nucleus_was_taken_out_is_named(folder: Path) -> None:
    path = folder / GEOJSON
    collection = json.loads(path.read_text())
    edited = collection["features"][1]
    del edited["nucleusGeometry"]
    path.write_text(json.dumps(collection))
    name = read_cells(folder)["cell_id"][1]
    with pytest.raises(DataError, match=rf"cells\.geojson: cell {name} has no nucleus; count the image"):
        read_field(folder)


def test_a_field_that_another_version_counted_is_said_to_be_one(folder: Path) -> None:
    path = folder / RECORD
    path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 2', 1))
    with pytest.raises(DataError, match=r"of another version of erythron \(layout 2, this one reads 3\)"):
        need_record(folder)
    path.write_text("[")
    with pytest.raises(DataError, match="no readable"):
        need_record(folder)
