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

from erythron.errors import DataError
from erythron.interchange.cells import CountedImage, list_classes
from erythron.interchange.coco import read_coco, write_coco
from erythron.interchange.coco_rle import decode_coco_rle, encode_coco_rle
from erythron.interchange.outlines import trim_patch
from erythron.segment.segmentation import Segmentation


def write(*images: CountedImage) -> dict[str, Any]:
    document: dict[str, Any] = json.loads("".join(write_coco(images, list_classes(images[0].table), "0")))
    return document


@settings(max_examples=300, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_the_encoding_is_the_one_of_pycocotools(mask: NDArray[np.bool_]) -> None:
    theirs = reference.encode(np.asfortranarray(mask, dtype=np.uint8))
    patch = trim_patch(mask)
    if patch is None:
        assert decode_coco_rle({"size": list(mask.shape), "counts": theirs["counts"].decode()}) is None
        return
    ours = encode_coco_rle(patch, mask.shape[1], mask.shape[0])
    assert ours["size"] == theirs["size"]
    assert ours["counts"] == theirs["counts"].decode()
    back = decode_coco_rle(ours)
    assert back is not None
    assert (back.left, back.top) == (patch.left, patch.top)
    assert np.array_equal(back.mask, patch.mask)


def test_a_large_image_has_counts_of_several_letters() -> None:
    mask = np.zeros((3000, 2500), np.uint8)
    mask[1500:1560, 2000:2070] = 1
    patch = trim_patch(mask.astype(bool))
    assert patch is not None
    theirs = reference.encode(np.asfortranarray(mask))["counts"].decode()
    assert encode_coco_rle(patch, 2500, 3000)["counts"] == theirs


def test_pycocotools_opens_the_file_and_finds_every_cell(
    counted_image: CountedImage, segmentation: Segmentation, tmp_path: Path
) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(write(counted_image, counted_image)))
    coco = COCO(path)
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == [
        "polychromatic_erythroblast", "granulocyte", "lymphocyte", "unclassified", "nucleus",
    ]  # fmt: skip
    assert len(coco.getImgIds()) == 2
    for image_id in coco.getImgIds():
        assert coco.imgs[image_id]["file_name"] == "smear/a b.png"
        for name, labels in (("cell", segmentation.cell), ("nucleus", segmentation.nucleus)):
            nuclei = coco.getCatIds(["nucleus"])
            kinds = nuclei if name == "nucleus" else [c for c in coco.getCatIds() if c not in nuclei]
            found = coco.loadAnns(coco.getAnnIds(imgIds=image_id, catIds=kinds))
            assert len(found) == 4
            for annotation in found:
                mask = coco.annToMask(annotation)
                assert np.array_equal(mask, labels == annotation["attributes"]["cell_id"])
                assert annotation["area"] == mask.sum() == reference.area(coco.annToRLE(annotation))
                assert annotation["bbox"] == reference.toBbox(coco.annToRLE(annotation)).tolist()
    groups = {a["attributes"]["cell_id"]: coco.cats[a["category_id"]]["name"] for a in coco.anns.values()
              if coco.cats[a["category_id"]]["name"] != "nucleus"}  # fmt: skip
    assert groups == {1: "polychromatic_erythroblast", 2: "granulocyte", 3: "unclassified", 4: "granulocyte"}


def test_a_round_trip_loses_nothing(counted_image: CountedImage) -> None:
    image = read_coco(write(counted_image))[0]
    assert image.name == counted_image.name
    assert image.left_out == ()
    assert [c.cell_id for c in image.cells] == [1, 2, 3, 4]
    for found, (cell, nucleus) in zip(image.cells, counted_image.outlines, strict=True):
        assert found.nucleus is not None
        for back, sent in ((found.cell, cell), (found.nucleus, nucleus)):
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
    for found, (_, nucleus) in zip(reversed(cells), counted_image.outlines, strict=True):
        assert found.nucleus is not None
        assert np.array_equal(found.nucleus.mask, nucleus.mask)


def document(**annotation: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "lymphocyte"}],
        "annotations": [{"id": 5, "image_id": 7, "category_id": 1, **annotation}],
    }


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
