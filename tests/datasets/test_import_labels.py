"""Labels of other programs as a data set: what is written, left out and refused."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image

from erythron.cells.class_map import parse_class_map
from erythron.datasets.import_labels import ImportOptions, ImportRun, import_labels
from erythron.datasets.manifest import read_manifest
from erythron.errors import DataError, UsageError
from erythron.synthetic.field import DrawnFieldSpec, draw_field

PLAIN = ImportOptions({}, mpp=0.25)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "fields"
    folder.mkdir()
    Image.fromarray(draw_field(DrawnFieldSpec(400, 300, seed=0)).rgb).save(folder / "f0.png")
    return folder


def import_file(file: Path, fields: Path, out: Path, options: ImportOptions = PLAIN) -> ImportRun:
    return import_labels([file], fields, out, options)


def qupath(*names: str) -> list[dict[str, Any]]:
    """Squares of 20 pixels in a row, as drawn in QuPath."""
    features = []
    for i, name in enumerate(names):
        left = 40 * i + 10
        ring = [[left, 10], [left + 20, 10], [left + 20, 30], [left, 30], [left, 10]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}
        )
    return features


def test_a_cell_drawn_without_its_nucleus_has_a_mask_of_the_cell(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("Lymphocyte", "NRBC")))
    done = import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert (done.cells, done.left_out) == (2, 0)
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert set(manifest["mask_kind"]) == {"cell"}
    assert manifest["class"].to_list() == ["lymphocyte", None]
    assert manifest["source_label"].to_list() == ["Lymphocyte", "NRBC"]
    mask = np.asarray(Image.open(manifest["mask_path"][0]))
    assert (mask == 128).sum() == 400
    assert set(np.unique(mask)) == {0, 128}
    assert pl.read_csv(tmp_path / "out" / "cells.csv")["cell_id"].to_list() == ["x19y19", "x59y19"]


def test_labels_of_a_field_that_another_reader_takes(tmp_path: Path) -> None:
    rgb = draw_field(DrawnFieldSpec(300, 200, seed=0)).rgb
    (tmp_path / "fields").mkdir()
    path = tmp_path / "fields" / "f0.tif"
    tifffile.imwrite(path, rgb, photometric="rgb", tile=(128, 128), compression="jpeg2000")
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("lymphocyte")))
    done = import_file(tmp_path / "f0.geojson", tmp_path / "fields", tmp_path / "out")
    assert (done.cells, done.failures) == (1, ())


def test_two_cells_of_one_name_stay_two_with_names_of_their_own(fields: Path, tmp_path: Path) -> None:
    features = qupath("lymphocyte", "monocyte", "lymphocyte")
    for feature in features:
        feature["properties"]["name"] = "x19y19"
    (tmp_path / "f0.geojson").write_text(json.dumps(features))
    assert import_file(tmp_path / "f0.geojson", fields, tmp_path / "out").cells == 3
    named = pl.read_csv(tmp_path / "out" / "cells.csv")["cell_id"].to_list()
    assert named == ["x19y19", "x59y19", "x99y19"]


def test_unknown_names_stop_the_import_before_anything_is_written(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("lymphocyte", "mystery")))
    with pytest.raises(DataError, match="'mystery'"):
        import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    other = ImportOptions(parse_class_map(["mystery=", "Lymphocyte=monocyte"]))
    with pytest.raises(UsageError, match="'Lymphocyte', and one is called 'lymphocyte'"):
        import_file(tmp_path / "f0.geojson", fields, tmp_path / "out", other)
    mapped = ImportOptions(parse_class_map(["mystery="]))
    assert import_file(tmp_path / "f0.geojson", fields, tmp_path / "out", mapped).cells == 1
    reasons = pl.read_csv(tmp_path / "out" / "left_out.csv")
    assert reasons["reason"].to_list() == ["cell x59y19: is mystery"]


def test_an_image_that_is_not_there_fails_alone(fields: Path, tmp_path: Path) -> None:
    for name in ("f0", "absent"):
        (tmp_path / f"{name}.geojson").write_text(json.dumps(qupath("lymphocyte")))
    files = [tmp_path / "absent.geojson", tmp_path / "f0.geojson"]
    done = import_labels(files, fields, tmp_path / "out", PLAIN)
    assert done.cells == 1
    assert [f.image for f in done.failures] == ["absent"]
    with pytest.raises(DataError, match="no labelled cell"):
        import_labels(files[:1], fields, tmp_path / "none", PLAIN)
    assert not (tmp_path / "none").exists()


def test_an_import_replaces_only_an_import_and_only_when_told(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("lymphocyte")))
    file, out = tmp_path / "f0.geojson", tmp_path / "out"
    import_file(file, fields, out)
    with pytest.raises(UsageError, match="--force"):
        import_file(file, fields, out)
    import_file(file, fields, out, ImportOptions({}, force=True))
    with pytest.raises(UsageError, match="no import wrote it"):
        import_file(file, fields, fields, ImportOptions({}, force=True))


def test_a_cell_outside_its_image_is_left_out(fields: Path, tmp_path: Path) -> None:
    names = ["lymphocyte"] * 12  # the image is 400 pixels wide: ten squares fit
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath(*names)))
    done = import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert (done.cells, done.left_out) == (10, 2)
    assert "outside" in pl.read_csv(tmp_path / "out" / "left_out.csv")["reason"][0]


LABEL_CASES = (
    "coco_far_nucleus", "coco_unhashable", "geo_far_nucleus_1e6", "geo_far_nucleus_3e4", "geo_far_parts_1e5",
    "geo_far_parts_1e6", "geo_meta_list", "geo_name_5000_digits", "geo_names_dict", "geo_props_string",
    "geo_type_list", "ls_annotations_1", "ls_result_true", "ls_rle_int",
)  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("case", LABEL_CASES)
def test_label_files_that_went_wrong_are_refused_in_words(case: str, data_dir: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(draw_field(DrawnFieldSpec(40, 30, seed=0)).rgb).save(images / "a.png")
    file = data_dir / "cases" / "labels" / f"{case}.json"
    with pytest.raises(DataError) as caught:
        import_file(file, images, tmp_path / "out")
    said = str(caught.value)
    assert str(file) in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1000
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", ["far nucleus", "far part"])
def test_an_outline_a_million_pixels_away_takes_no_memory(case: str, fields: Path, tmp_path: Path) -> None:
    [good, far] = qupath("lymphocyte", "lymphocyte")
    ring = [[1e6, 1e6], [1e6 + 9, 1e6], [1e6 + 9, 1e6 + 9], [1e6, 1e6]]
    if case == "far nucleus":
        far["nucleusGeometry"] = {"type": "Polygon", "coordinates": [ring]}
    else:
        own = far["geometry"]["coordinates"]
        far["geometry"] = {"type": "MultiPolygon", "coordinates": [own, [ring]]}
    (tmp_path / "f0.geojson").write_text(json.dumps([good, far]))
    assert import_file(tmp_path / "f0.geojson", fields, tmp_path / "out").cells == 1
    assert "which is no cell" in (tmp_path / "out" / "left_out.csv").read_text()


def coco(*annotations: dict[str, Any], **image: Any) -> dict[str, Any]:
    square = [10, 10, 30, 10, 30, 30, 10, 30]
    stated = {"id": 1, "file_name": "f0.png", "width": 400, "height": 300} | image
    common = {"image_id": 1, "category_id": 1, "segmentation": [square]}
    listed = [{"id": number, **common, **own} for number, own in enumerate(annotations, 1)]
    categories = [{"id": 1, "name": "lymphocyte"}, {"id": 2, "name": "monocyte"}]
    return {"categories": categories, "images": [stated], "annotations": listed}


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_labels_of_an_image_of_another_size_are_refused(fields: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", coco({}, width=800, height=600))
    with pytest.raises(DataError, match="drawn on an image of 800 x 600"):
        import_file(file, fields, tmp_path / "out")
    features = qupath("lymphocyte", "lymphocyte", "lymphocyte")
    for feature in features[1:]:
        [ring] = feature["geometry"]["coordinates"]
        feature["geometry"]["coordinates"] = [[[x + 380, y] for x, y in ring]]
    with pytest.raises(DataError, match="2 of 3 outlines reach beyond"):
        import_file(write_json(tmp_path / "f0.json", features), fields, tmp_path / "out")


def test_an_annotation_of_an_image_that_is_not_listed_is_named(fields: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", coco({}, {"image_id": 7}, {"image_id": [1]}))
    done = import_file(file, fields, tmp_path / "out")
    assert done.cells == 1
    assert [f.reason for f in done.failures] == [
        "annotation 2: its image 7 is not listed in the file",
        "annotation 3: its image [1] is not listed in the file",
    ]


def test_doubled_annotations_are_one_cell_and_contradictions_none(fields: Path, tmp_path: Path) -> None:
    other = {"segmentation": [[50, 50, 70, 50, 70, 70, 50, 70]]}
    file = write_json(tmp_path / "a.json", coco({}, {}, other, {**other, "category_id": 2}))
    done = import_file(file, fields, tmp_path / "out")
    assert done.cells == 1
    reasons = pl.read_csv(tmp_path / "out" / "left_out.csv")["reason"].to_list()
    assert reasons == [
        "cell x19y19: is there 2 times and taken once",
        "cell x59y59: one outline is labelled lymphocyte and monocyte",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "images/3/0a1b2c3d-f0.png", "images/0a1b2c3d-f0.png", "/data/local-files/?d=fields/f0.png",
        "..\\..\\label-studio\\data\\media\\upload\\3\\0a1b2c3d-f0.png",
        "http://localhost:8080/data/upload/3/0a1b2c3d-f0.png",
    ],
)  # fmt: skip
def test_names_that_label_studio_gives_in_coco_are_understood(
    name: str, fields: Path, tmp_path: Path
) -> None:
    file = write_json(tmp_path / "a.json", coco({}, file_name=name))
    done = import_file(file, fields, tmp_path / "out")
    assert (done.cells, done.failures) == (1, ())


def test_images_are_found_by_names_of_the_other_unicode_form(fields: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / unicodedata.normalize("NFD", "é[1].png")).write_bytes((fields / "f0.png").read_bytes())
    file = write_json(tmp_path / "a.json", coco({}, file_name=unicodedata.normalize("NFC", "é[1].png")))
    assert import_file(file, images, tmp_path / "out").cells == 1


def test_images_of_any_name_are_imported(fields: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    names = ["a[1]*?.png", "b\udcff.png", "é" * 123 + "a.png", "=1.png"]
    for name in names:
        (images / name).write_bytes((fields / "f0.png").read_bytes())
    files = [write_json(tmp_path / f"{i}.json", coco({}, file_name=name)) for i, name in enumerate(names)]
    done = import_labels(files, images, tmp_path / "out", PLAIN)
    assert (done.cells, done.failures) == (4, ())
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert all(Path(path).is_file() for path in (*manifest["path"], *manifest["mask_path"]))


def test_forcing_an_import_keeps_what_erythron_did_not_write(fields: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", coco({}))
    import_file(file, fields, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    import_file(file, fields, tmp_path / "out", ImportOptions({}, mpp=0.25, force=True))
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_forcing_an_import_does_not_replace_a_set_that_a_person_made(fields: Path, tmp_path: Path) -> None:
    """A manifest is what every data set has; the masks beside it may be drawn by hand."""
    file, own = write_json(tmp_path / "a.json", coco({})), tmp_path / "own"
    (own / "masks").mkdir(parents=True)
    (own / "masks" / "a.png").write_text("drawn by hand")
    (own / "manifest.csv").write_text("path,label\na.png,lymphocyte\n")
    for cells in (None, "image,cell_id,called\n"):
        if cells is not None:
            (own / "cells.csv").write_text(cells)
        before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
        with pytest.raises(UsageError, match="no import wrote it"):
            import_file(file, fields, own, ImportOptions({}, force=True))
        assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before
