"""COCO instances: opened by pycocotools, every pixel back, and what gives no cell is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as reference
from pycocotools.coco import COCO

from erythron.cells.outline import render_labels, trim_mask
from erythron.cells.table import list_probability_classes
from erythron.errors import DataError
from erythron.interchange.cells import CountedImage
from erythron.interchange.coco import read_coco, write_coco
from erythron.interchange.coco_rle import decode_coco_rle, encode_coco_rle


def write(*images: CountedImage) -> dict[str, Any]:
    classes = list_probability_classes(images[0].table.columns)
    document: dict[str, Any] = json.loads("".join(write_coco(images, classes, "0")))
    return document


@settings(max_examples=300, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_the_encoding_is_the_one_of_pycocotools(mask: NDArray[np.bool_]) -> None:
    theirs = reference.encode(np.asfortranarray(mask, dtype=np.uint8))
    boxed = trim_mask(mask)
    if boxed is None:
        assert decode_coco_rle({"size": list(mask.shape), "counts": theirs["counts"].decode()}) is None
        return
    ours = encode_coco_rle(boxed, mask.shape[1], mask.shape[0])
    assert ours["size"] == theirs["size"]
    assert ours["counts"] == theirs["counts"].decode()
    back = decode_coco_rle(ours)
    assert back is not None
    assert (back.left, back.top) == (boxed.left, boxed.top)
    assert np.array_equal(back.mask, boxed.mask)


def test_a_large_image_has_counts_of_several_letters() -> None:
    mask = np.zeros((3000, 2500), np.uint8)
    mask[1500:1560, 2000:2070] = 1
    boxed = trim_mask(mask.astype(bool))
    assert boxed is not None
    theirs = reference.encode(np.asfortranarray(mask))["counts"].decode()
    assert encode_coco_rle(boxed, 2500, 3000)["counts"] == theirs


def test_pycocotools_opens_the_file_and_finds_every_cell(counted_image: CountedImage, tmp_path: Path) -> None:
    ids = counted_image.table["cell_id"].to_list()
    nuclei_drawn, cells_drawn = render_labels(counted_image.outlines, 70, 90)
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(write(counted_image, counted_image)))
    coco = COCO(path)
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == [
        "polychromatic_erythroblast", "granulocyte", "lymphocyte", "unclassified", "nucleus",
    ]  # fmt: skip
    assert len(coco.getImgIds()) == 2
    for image_id in coco.getImgIds():
        assert coco.imgs[image_id]["file_name"] == "smear/a b.png"
        for name, labels in (("cell", cells_drawn), ("nucleus", nuclei_drawn)):
            nuclei = coco.getCatIds(["nucleus"])
            kinds = nuclei if name == "nucleus" else [c for c in coco.getCatIds() if c not in nuclei]
            found = coco.loadAnns(coco.getAnnIds(imgIds=image_id, catIds=kinds))
            assert len(found) == 4
            for annotation in found:
                mask = coco.annToMask(annotation)
                assert np.array_equal(mask, labels == 1 + ids.index(annotation["attributes"]["cell_id"]))
                assert annotation["area"] == mask.sum() == reference.area(coco.annToRLE(annotation))
                assert annotation["bbox"] == reference.toBbox(coco.annToRLE(annotation)).tolist()
    groups = {a["attributes"]["cell_id"]: coco.cats[a["category_id"]]["name"] for a in coco.anns.values()
              if coco.cats[a["category_id"]]["name"] != "nucleus"}  # fmt: skip
    assert [groups[i] for i in ids] == [
        "polychromatic_erythroblast", "granulocyte", "unclassified", "granulocyte",
    ]  # fmt: skip


def test_a_round_trip_loses_nothing(counted_image: CountedImage) -> None:
    image = read_coco(write(counted_image))[0]
    assert image.name == counted_image.name
    assert image.left_out == ()
    assert [c.cell_id for c in image.cells] == counted_image.table["cell_id"].to_list()
    for found, outline in zip(image.cells, counted_image.outlines, strict=True):
        assert found.nucleus is not None
        for back, sent in ((found.cell, outline.whole), (found.nucleus, outline.nucleus_mask)):
            assert (back.left, back.top) == (sent.left, sent.top)
            assert np.array_equal(back.mask, sent.mask)


def test_a_file_without_our_own_fields_still_gives_cells_with_their_nuclei(
    counted_image: CountedImage,
) -> None:
    document = write(counted_image)
    for annotation in document["annotations"]:
        del annotation["attributes"]
    document["annotations"].reverse()
    cells = read_coco(document)[0].cells
    assert [c.cell_id for c in cells] == [None] * 4
    for found, outline in zip(reversed(cells), counted_image.outlines, strict=True):
        assert found.nucleus is not None
        assert np.array_equal(found.nucleus.mask, outline.nucleus_mask.mask)


def document(**annotation: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "lymphocyte"}],
        "annotations": [{"id": 5, "image_id": 7, "category_id": 1, **annotation}],
    }


def test_a_mask_in_an_image_of_another_size_is_left_out(counted_image: CountedImage) -> None:
    document = write(counted_image)
    cells = len(read_coco(document)[0].cells)
    for size in ({"width": 2 * 90, "height": 2 * 70}, {"width": 70, "height": 90}):
        scaled = {**document, "images": [{**document["images"][0], **size}]}
        [image] = read_coco(scaled)
        assert image.size_px == (size["width"], size["height"])
        assert not image.cells
        assert len(image.left_out) == len(document["annotations"]) == 2 * cells
        assert f"in an image of 90 x 70 pixels, and its image has {size['width']} x" in image.left_out[0]
    # Where the file states no size, its masks do.
    [image] = read_coco({**document, "images": [{"id": 1, "file_name": "a.png"}]})
    assert (image.size_px, len(image.cells)) == ((90, 70), cells)


def test_polygons_and_plain_counts_are_read() -> None:
    square = read_coco(document(segmentation=[[2, 3, 6, 3, 6, 8, 2, 8]]))[0].cells[0]
    counts = [23, 5, 5, 5, 5, 5, 5, 5, 142]
    plain = read_coco(document(segmentation={"size": [10, 20], "counts": counts}, iscrowd=1))[0].cells[0]
    for cell in (square, plain):
        assert (cell.cell.left, cell.cell.top, cell.cell.mask.shape) == (2, 3, (5, 4))
        assert cell.cell.mask.all()
        assert cell.nucleus is None


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({}, "no mask"),
        ({"segmentation": []}, "no mask"),
        ({"segmentation": [[1, 1, 2, 2]]}, "three corners"),
        ({"segmentation": [[1, 1, 5, 1, 5]]}, "annotation 5"),
        ({"segmentation": {"size": [10, 20]}}, "no counts"),
        ({"segmentation": {"size": [10, 20], "counts": [3, 4]}}, "add up"),
        ({"segmentation": {"size": [10, 20], "counts": [-3, 203]}}, "whole numbers"),
        ({"segmentation": {"size": [10, 20], "counts": [200]}}, "no pixel"),
        ({"segmentation": {"size": [10, 20], "counts": "P"}}, "too early"),
        ({"segmentation": {"size": [10, 20], "counts": "\x01"}}, "broken"),
        ({"segmentation": {"size": [10**6, 10**6], "counts": [1, 1]}}, "more than are read"),
        ({"category_id": 9, "segmentation": [[1, 1, 5, 1, 5, 5]]}, "not listed"),
    ],
)
def test_what_gives_no_cell_is_named(annotation: dict[str, Any], reason: str) -> None:
    image = read_coco(document(**annotation))[0]
    assert image.cells == ()
    assert len(image.left_out) == 1
    assert reason in image.left_out[0]


@pytest.mark.parametrize("wrong", [None, [], {}, {"images": [], "annotations": []}, {"images": [1]}])
def test_what_is_no_coco_file_is_named(wrong: Any) -> None:
    with pytest.raises(DataError, match="COCO"):
        read_coco(wrong)
