from __future__ import annotations

from pathlib import Path

import pytest

from erythron.datasets.label_tables import TableRow, read_label_tables
from erythron.errors import DataError

from .conftest import save_flat


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [save_flat(tmp_path / "images" / name, i) for i, name in enumerate(("a.png", "b.jpg", "c.png"))]


def test_a_table_names_images_by_path_or_name_with_ending_or_without(
    tmp_path: Path, images: list[Path]
) -> None:
    (tmp_path / "Labels.csv").write_text(
        "Image Name,Class,patient,set\nimages/a.png,early,p1,train\nB.JPG,late,p2,val\nc,0,p1,\n,,,\n"
    )
    assert read_label_tables(tmp_path, images) == {
        images[0]: TableRow("early", "train", "p1"),
        images[1]: TableRow("late", "val", "p2"),
        images[2]: TableRow("0", None, "p1"),
    }
    (tmp_path / "Labels.csv").unlink()
    assert read_label_tables(tmp_path, images) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,label\nd.png,early\n", "'d.png' is the name of no image"),
        ("image,label\na,early\nimages/a.png,late\n", "labelled both early and late"),
        ("image,label,set\na,early,train\nimages/a.png,early,test\n", "stands in two rows of another part"),
        # Merged cells of a spreadsheet: each cell without its patient was a patient of its own.
        ("image,label,patient\na,early,p1\nb,early,\nc,late,\n", "'b' and 1 more rows have no patient"),
        # The name of the folder or file decided, of a cell whose label a person had left open or taken out.
        ("image,Stage\na,early\nb,\n", r"row 3 \('b'\) has no Stage"),
        ("image,label\na,early\n,\n ,late\n", r"row 4 \('late'\) has no image"),
        ("image,remark\na,early\n", "no column 'label'; its columns are image, remark"),
        ("label\nearly\n", "no column 'image'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    tmp_path: Path, images: list[Path], content: str, message: str
) -> None:
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_label_tables(tmp_path, images)


def test_a_name_that_two_files_have_needs_its_folder(tmp_path: Path, images: list[Path]) -> None:
    twin = save_flat(tmp_path / "more" / "a.png", 7)
    (tmp_path / "labels.csv").write_text("image,label\na.png,early\n")
    with pytest.raises(DataError, match="name of 2 images"):
        read_label_tables(tmp_path, [*images, twin])
