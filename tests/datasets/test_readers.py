from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from erythron.cells.class_map import parse_class_map
from erythron.datasets.manifest import MANIFEST_SCHEMA
from erythron.datasets.sets import open_set, read_set
from erythron.errors import DataError, UsageError

from .conftest import draw_smear, save, save_flat


def make_bites(folder: Path) -> Path:
    for i, name in enumerate(["polychromatic_001", "polychromatic_002", "band_001"]):
        save_flat(folder / "cells" / f"{name}.png", i)
    (folder / "overlap_groups.json").write_text(json.dumps([["polychromatic_001.png", "band_001.png"]]))
    return folder


def by_name(rows: pl.DataFrame, column: str) -> dict[str, str]:
    return {Path(p).stem: v for p, v in rows.select("path", column).iter_rows()}


def test_overlapping_crops_share_a_group_and_others_stand_alone(tmp_path: Path) -> None:
    rows = read_set("pathology-bites-cells", make_bites(tmp_path)).rows
    assert rows.schema == pl.Schema(MANIFEST_SCHEMA)
    group = by_name(rows, "group")
    assert group["polychromatic_001"] == group["band_001"] != group["polychromatic_002"]
    assert by_name(rows, "label")["band_001"] == "band_neutrophil"
    assert by_name(rows, "class")["band_001"] == "granulocyte"


def test_outlines_beside_the_marrow_crops_are_their_masks(tmp_path: Path) -> None:
    folder = make_bites(tmp_path / "pathology-bites-cells")
    save_flat(tmp_path / "marrow-masks" / "band_001.png", 255)
    rows = read_set("pathology-bites-cells", folder).rows
    kinds = by_name(rows, "mask_kind")
    assert kinds == {"band_001": "nucleus_255_cell_128", "polychromatic_001": None, "polychromatic_002": None}


def test_duplicates_share_a_group_and_contradicting_ones_are_left_out(tmp_path: Path) -> None:
    save_flat(tmp_path / "monocyte" / "a.jpg", 10)
    save_flat(tmp_path / "monocyte" / "b.jpg", 10)
    save_flat(tmp_path / "lymphocyte" / "c.jpg", 90)
    save_flat(tmp_path / "erythroblast" / "d.jpg", 90)
    save_flat(tmp_path / "erythroblast" / "e.jpg", 200)
    read = read_set("pbc-acevedo", tmp_path)
    group = by_name(read.rows, "group")
    assert set(group) == {"a", "b", "e"}
    assert group["a"] == group["b"] != group["e"]
    assert sorted(Path(p).name for p in read.left_out["path"]) == ["c.jpg", "d.jpg"]
    assert by_name(read.rows, "label")["e"] == "erythroblast"
    assert by_name(read.rows, "class")["e"] is None
    assert read_set("pbc-acevedo", tmp_path, keep_contradictions=True).rows.height == 5


def test_an_unknown_class_folder_is_named_with_the_way_out(tmp_path: Path) -> None:
    save_flat(tmp_path / "dragon" / "a.jpg", 1)
    with pytest.raises(DataError, match="--class-map 'dragon=CLASS'"):
        read_set("pbc-acevedo", tmp_path)
    rows = read_set("pbc-acevedo", tmp_path, class_map=parse_class_map(["dragon=原红"])).rows
    assert rows["label"].to_list() == ["proerythroblast"]
    assert rows["source_label"].to_list() == ["dragon"]
    with pytest.raises(DataError, match="is dragon, which the class map leaves out"):
        read_set("pbc-acevedo", tmp_path, class_map=parse_class_map(["dragon="]))


def test_a_manifest_takes_no_class_map(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a manifest names its classes"):
        open_set(str(tmp_path / "cells.csv"), parse_class_map(["dragon=band"]))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.jpg or \.jpeg file"):
        read_set("matek-samples", tmp_path)


@pytest.mark.parametrize(
    "name", ["EBO_00004.jpg", "EBO/0001-1000/EBO_00004.jpg", "BM_cytomorphology_data/EBO/EBO_00004.jpg"]
)
def test_the_munich_set_reads_as_archived_and_as_loose_files(tmp_path: Path, name: str) -> None:
    save_flat(tmp_path / name, 1)
    save_flat(tmp_path / name.replace("EBO", "PEB"), 2)
    assert by_name(read_set("matek", tmp_path).rows, "label") == {
        "EBO_00004": "erythroblast",
        "PEB_00004": "proerythroblast",
    }


def make_wbc(folder: Path, table: str) -> Path:
    for i in (1, 2):
        save_flat(folder / "Dataset 1" / f"{i:03d}.bmp", i)
        save_flat(folder / "Dataset 1" / f"{i:03d}.png", i)
    save_flat(folder / "Dataset 2" / "001.bmp", 9)
    save_flat(folder / "Dataset 2" / "001.png", 9)
    (folder / "Class Labels of Dataset 1.csv").write_text(table)
    return folder


def test_classes_of_segmentation_wbc_come_from_its_table(tmp_path: Path) -> None:
    rows = read_set("segmentation_WBC", make_wbc(tmp_path, "image ID,class label\n1,2\n2,5\n")).rows
    assert rows["label"].to_list() == ["lymphocyte", "basophil", "white_cell"]
    assert rows["mask_kind"].unique().to_list() == ["nucleus_255_cell_128"]
    assert all(Path(p).is_file() for p in rows["mask_path"])


@pytest.mark.parametrize("table", ["1,2\n", "1,2\n2,7\n"])
def test_a_table_that_does_not_name_every_image_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(DataError, match=r"Dataset 1/002\.bmp is (missing|7)"):
        read_set("segmentation_WBC", make_wbc(tmp_path, table))


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    folder = make_wbc(tmp_path, "1,2\n2,2\n")
    (folder / "Dataset 1" / "002.png").unlink()
    with pytest.raises(DataError, match=r"002\.png is not beside it"):
        read_set("segmentation_WBC", folder)


def test_crops_of_one_series_of_bcisc_share_a_group(tmp_path: Path) -> None:
    for i, name in enumerate(["baso_1-1_0", "baso_1-2_0", "baso_10-1_0", "mono_1-1_0"]):
        save_flat(tmp_path / "sub-images" / "images" / f"{name}.jpg", i)
    save_flat(tmp_path / "sub-images" / "masks" / "mono_1-1_0.png", 255)
    rows = read_set("bcisc", tmp_path).rows
    assert rows["group"].to_list() == ["series_1", "series_1", "series_10", "series_1"]
    assert rows["mask_kind"].to_list() == [None, None, None, "cell"]
    save_flat(tmp_path / "sub-images" / "images" / "strange.jpg", 1)
    with pytest.raises(DataError, match=r"strange\.jpg"):
        read_set("bcisc", tmp_path)


VOC = "<annotation>{}</annotation>"
BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>{}</xmax><ymax>4</ymax></bndbox>"
OBJECT = f"<object><name>{{}}</name>{BOX}</object>"


def test_every_box_of_bccd_is_a_row_and_white_cells_have_masks(tmp_path: Path) -> None:
    save_flat(tmp_path / "bccd" / "BCCD" / "JPEGImages" / "BloodImage_00007.jpg", 1)
    save_flat(tmp_path / "bccd-masks" / "BloodImage_Mask_00007.png", 1)
    annotation = tmp_path / "bccd" / "BCCD" / "Annotations" / "BloodImage_00007.xml"
    annotation.parent.mkdir()
    annotation.write_text(VOC.format(OBJECT.format("WBC", 3) + OBJECT.format("RBC", 2)))
    rows = read_set("bccd", tmp_path / "bccd").rows
    assert rows["label"].to_list() == ["white_cell", "red_cell"]
    assert rows["group"].unique().to_list() == ["BloodImage_00007"]
    assert rows.select("x_px", "y_px", "width_px", "height_px").rows() == [(1, 2, 2, 2), (1, 2, 1, 2)]
    assert rows["mask_path"].is_null().to_list() == [False, True]
    annotation.write_text("<annotation>")
    with pytest.raises(DataError, match=r"BloodImage_00007\.xml"):
        read_set("bccd", tmp_path / "bccd")


def test_a_folder_that_is_not_there_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="erythron data fetch pbc-acevedo"):
        read_set("pbc-acevedo", tmp_path / "nothing")


def test_overlaps_come_from_the_pixels_where_no_list_is_there(tmp_path: Path) -> None:
    field = draw_smear(0, 200, 200)
    save(tmp_path / "band_000.png", field[:140, :140])
    save(tmp_path / "polychromatic_000.png", field[30:170, 20:160])
    save(tmp_path / "polychromatic_001.png", draw_smear(1))
    group = by_name(read_set("pathology-bites-cells", tmp_path).rows, "group")
    assert group["band_000"] == group["polychromatic_000"] != group["polychromatic_001"]


def test_a_broken_list_of_overlaps_is_refused(tmp_path: Path) -> None:
    (make_bites(tmp_path) / "overlap_groups.json").write_text("[[")
    with pytest.raises(DataError, match=r"overlap_groups\.json"):
        read_set("pathology-bites-cells", tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "cells", "labels"),
    [
        ("pathology-bites-cells", 404, 16),
        ("pbc-acevedo", 4450, 8),
        ("matek-samples", 11, 7),
        ("matek-marrow", 700, 7),
        ("segmentation_WBC", 300, 5),
        ("bcisc", 234, 5),
        ("bccd", 3971, 3),
    ],
)
def test_the_real_sets_read_whole(data_dir: Path, name: str, cells: int, labels: int) -> None:
    read = read_set(name, data_dir / name, keep_contradictions=True)
    assert (read.rows.height, read.rows["label"].n_unique()) == (cells, labels)
    assert read.left_out.is_empty()
