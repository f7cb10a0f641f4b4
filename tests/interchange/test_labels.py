"""Files that come back: told apart by content, names mapped, images found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from erythron.cells.class_map import parse_class_map
from erythron.cells.table import list_probability_classes
from erythron.errors import DataError
from erythron.interchange.cells import CountedImage
from erythron.interchange.coco import write_coco
from erythron.interchange.geojson import cells_to_geojson, trace_cells
from erythron.interchange.label_studio import write_label_studio
from erythron.interchange.labels import find_image, map_labels, read_labels


def test_every_format_is_told_by_its_content(counted_image: CountedImage, tmp_path: Path) -> None:
    classes = list_probability_classes(counted_image.table.columns)
    tasks = json.loads("".join(write_label_studio([counted_image], classes, "m")))
    for task in tasks:
        task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    texts = {
        "coco": "".join(write_coco([counted_image], classes, "0")),
        "geojson": cells_to_geojson(trace_cells(counted_image.outlines), counted_image.table),
        "tasks": json.dumps(tasks),
    }
    read = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (image,) = read_labels(tmp_path / name)
        assert image.name == counted_image.name
        read[name] = [
            (c.cell_id, c.label, c.cell.area_px, c.nucleus and c.nucleus.area_px) for c in image.cells
        ]
    assert [cell_id for cell_id, *_ in read["coco"]] == counted_image.table["cell_id"].to_list()
    assert read["coco"] == read["geojson"] == read["tasks"]


def test_an_image_that_qupath_does_not_name_is_that_of_the_file(tmp_path: Path) -> None:
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "x"}},
    }
    (tmp_path / "field 7.geojson").write_text(json.dumps([feature]))
    assert read_labels(tmp_path / "field 7.geojson")[0].name == "field 7"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "is no QuPath"),
        (b'{"type": "Topology"}', "is no QuPath"),
        (b'{"annotations": 3}', "no COCO"),
        (b'[{"data": {"text": "a"}}]', "Label Studio"),
    ],
)
def test_what_is_none_of_them_is_named_with_its_file(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_labels(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check the path"):
        read_labels(tmp_path / "absent.json")


def test_names_are_mapped_and_the_map_wins() -> None:
    kinds = map_labels(
        ["Late normoblast", "Myelocyte", "my own", "band", "unclassified", "早幼红"],
        parse_class_map(["my own=plasma cell", "band="]),
    )
    assert {name: kind and kind.name for name, kind in kinds.items()} == {
        "Late normoblast": "orthochromatic_erythroblast",
        "Myelocyte": "myelocyte",
        "my own": "plasma_cell",
        "band": None,
        "unclassified": None,
        "早幼红": "basophilic_erythroblast",
    }


def test_all_unknown_names_are_told_at_once() -> None:
    with pytest.raises(DataError, match=r"'qq', 'zz'; .*--class-map 'qq=CLASS'"):
        map_labels(["qq", "lymphocyte", "zz", "qq"], {})


PATHS = [Path("in/a/1.png"), Path("in/b/1.png"), Path("in/b/2.png"), Path("in/c.d.jpg")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("2.png", 2),
        ("elsewhere/b/2.png", 2),
        ("a/1.png", 0),
        ("C:\\scans\\b\\1.png", 1),
        ("c.d", 3),
        ("in/b/1.png", 1),
    ],
)
def test_images_are_found_by_the_end_of_their_path(name: str, found: int) -> None:
    assert find_image(name, PATHS) == PATHS[found]


@pytest.mark.parametrize(
    ("name", "reason"), [("1.png", "may be"), ("3.png", "no such image"), ("", "no such image")]
)
def test_no_image_is_guessed(name: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        find_image(name, PATHS)
