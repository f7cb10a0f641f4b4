"""An edited table is kept while its field is counted again."""

from __future__ import annotations

from pathlib import Path

from erythron.files.writing import whole_folder
from erythron.results.edited import EDITED, drop_edited, keep_edited, put_back_edited
from erythron.results.field import OWN_FILES
from erythron.results.record import CELLS


def test_a_kept_table_outlives_the_folder_that_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "f0"
    folder.mkdir()
    (folder / CELLS).write_text("edited")
    keep_edited(folder)
    with whole_folder(folder, own=OWN_FILES) as partial:
        (partial / CELLS).write_text("counted")
    assert (folder / CELLS).read_text() == "counted"
    put_back_edited(folder)
    assert (folder / CELLS).read_text() == "edited"
    assert not (folder / EDITED).exists()


def test_nothing_is_put_back_where_nothing_was_kept_or_all_was_taken(tmp_path: Path) -> None:
    (tmp_path / CELLS).write_text("counted")
    put_back_edited(tmp_path)
    keep_edited(tmp_path)
    drop_edited(tmp_path)
    put_back_edited(tmp_path)
    drop_edited(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {CELLS: "counted"}
