"""Label Studio: its own SDK accepts configuration, tasks and brushes; every pixel comes back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue
from numpy.typing import NDArray

from erythron.cells.outline import trim_mask
from erythron.cells.table import list_probability_classes
from erythron.errors import DataError
from erythron.interchange.brush_rle import decode_brush, encode_brush
from erythron.interchange.cells import CountedImage
from erythron.interchange.label_studio import make_labelling_config, read_label_studio, write_label_studio

Masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 40)))


def write(image: CountedImage, **options: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = json.loads(
        "".join(
            write_label_studio([image], list_probability_classes(image.table.columns), "model 1", **options)
        )
    )
    return tasks


def annotate(task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A task as Label Studio exports it after a person has accepted the prediction."""
    return {**task, "annotations": [{"result": task["predictions"][0]["result"], **fields}]}


@settings(max_examples=100, deadline=None)
@given(Masks)
def test_the_brush_is_the_one_of_the_sdk(mask: NDArray[np.bool_]) -> None:
    height, width = mask.shape
    theirs = mask2rle(mask.astype(np.uint8) * 255)
    boxed = trim_mask(mask)
    back = decode_brush(theirs, width, height)
    if boxed is None:
        assert back is None
        return
    ours = encode_brush(boxed, width, height)
    assert np.array_equal(decode_rle(ours).reshape(height, width, 4)[..., 3], mask * 255)
    for found in (back, decode_brush(ours, width, height)):
        assert found is not None
        assert (found.left, found.top) == (boxed.left, boxed.top)
        assert np.array_equal(found.mask, boxed.mask)


def test_a_brush_of_a_large_image_with_runs_over_sixteen_bits() -> None:
    mask = np.zeros((700, 900), bool)
    mask[300:340, 400:460] = mask[500:, :] = True
    boxed = trim_mask(mask)
    assert boxed is not None
    ours = encode_brush(boxed, 900, 700)
    assert np.array_equal(decode_rle(ours).reshape(700, 900, 4)[..., 3] > 0, mask)
    back = decode_brush(ours, 900, 700)
    assert back is not None
    assert np.array_equal(back.mask, boxed.mask)


def test_a_list_of_single_values_is_read() -> None:
    """Strokes with soft edges come as lists of values; covered by half or more is inside."""
    bits = f"{16:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "001" + "1111"
    bits += "".join(f"{v:08b}" for v in (0, 0, 0, 0, 9, 9, 9, 127, 9, 9, 9, 128, 0, 0, 0, 255))
    bits += "0" * (-len(bits) % 8)
    found = decode_brush([int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], 4, 1)
    assert found is not None
    assert (found.left, found.mask.tolist()) == (2, [[True, True]])


def test_the_sdk_accepts_configuration_tasks_and_predictions(counted_image: CountedImage) -> None:
    config = make_labelling_config(list_probability_classes(counted_image.table.columns))
    interface = LabelInterface(config)
    interface.validate()
    assert {c.name for c in interface.controls} == {"outline", "brush"}
    assert {o.name for o in interface.objects} == {"image"}
    task = write(counted_image)[0]
    prediction = task["predictions"][0]
    PredictionValue.model_validate(prediction)
    assert interface.validate_prediction(prediction)
    assert interface.validate_annotation({"result": prediction["result"]})
    assert [r["type"] for r in prediction["result"]] == [
        "polygonlabels", "polygonlabels",  # plain
        "polygonlabels", "polygonlabels", "polygonlabels",  # two lobes
        "brushlabels", "brushlabels",  # holes
        "brushlabels", "polygonlabels",  # a cell in two parts
    ]  # fmt: skip
    for change in ({"from_name": "none"}, {"type": "choices"}):
        wrong = [{**region, **change} for region in prediction["result"]]
        assert not interface.validate_prediction({**prediction, "result": wrong})


def test_ids_labels_and_addresses(counted_image: CountedImage) -> None:
    task = write(counted_image)[0]
    assert task["data"] == {"image": "/data/local-files/?d=smear/a%20b.png"}
    regions = task["predictions"][0]["result"]
    assert len({r["id"] for r in regions}) == len(regions)
    labels = {r["id"]: r["value"][r["type"]] for r in regions if r["id"].startswith("cell")}
    assert labels == {
        f"cell_{cell_id}": [group]
        for cell_id, group in zip(
            counted_image.table["cell_id"],
            ("polychromatic_erythroblast", "granulocyte", "unclassified", "granulocyte"),
            strict=True,
        )
    }
    assert write(counted_image, prefix="https://x/")[0]["data"]["image"] == "https://x/smear/a%20b.png"


def test_a_round_trip_loses_nothing(counted_image: CountedImage) -> None:
    image = read_label_studio([annotate(t) for t in write(counted_image)])[0]
    assert image.name == counted_image.name
    assert image.left_out == ()
    assert [c.cell_id for c in image.cells] == counted_image.table["cell_id"].to_list()
    for found, outline in zip(image.cells, counted_image.outlines, strict=True):
        assert found.nucleus is not None
        for back, sent in ((found.cell, outline.whole), (found.nucleus, outline.nucleus_mask)):
            assert (back.left, back.top) == (sent.left, sent.top)
            assert np.array_equal(back.mask, sent.mask)


def test_the_latest_annotation_that_was_not_cancelled_counts(counted_image: CountedImage) -> None:
    task = write(counted_image)[0]
    result = task["predictions"][0]["result"]
    task["annotations"] = [
        {"result": result, "updated_at": "2024-01-01T00:00:00Z"},
        {"result": result[:2], "updated_at": "2024-01-02T00:00:00Z"},
        {"result": [], "updated_at": "2024-01-03T00:00:00Z", "was_cancelled": True},
    ]
    assert len(read_label_studio([task])[0].cells) == 1


def test_predictions_that_nobody_confirmed_are_no_labels(counted_image: CountedImage) -> None:
    image = read_label_studio(write(counted_image))[0]
    assert image.cells == ()
    assert "nobody" in image.left_out[0]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=smear/a%20b.png", "smear/a b.png"),
        ("/data/upload/3/0f3a9c1b-field.png", "field.png"),
        ("https://server/images/field%201.png?v=2", "/images/field 1.png"),
        ("s3://bucket/key/field.png", "/key/field.png"),
    ],
)
def test_addresses_of_images(address: str, name: str) -> None:
    assert read_label_studio([{"data": {"image": address}, "annotations": []}])[0].name == name


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        ({"type": "rectanglelabels", "value": {}}, "no outline"),
        ({"type": "polygonlabels", "value": {"points": []}}, "no label"),
        ({"type": "polygonlabels", "value": {"points": [[1, 1]], "polygonlabels": ["x"]}}, "three corners"),
        ({"type": "brushlabels", "value": {"rle": [0, 1], "brushlabels": ["x"]}}, "too early"),
        ({"type": "brushlabels", "value": {"rle": [0] * 30, "brushlabels": ["x"]}}, "another size"),
        ({"type": "brushlabels", "value": {"rle": ["a"], "brushlabels": ["x"]}}, "list of bytes"),
    ],
)
def test_what_gives_no_cell_is_named(region: dict[str, Any], reason: str) -> None:
    region |= {"id": "r1", "original_width": 20, "original_height": 10}
    task = {"data": {"image": "a.png"}, "annotations": [{"result": [region]}]}
    image = read_label_studio([task])[0]
    assert image.cells == ()
    assert reason in image.left_out[0]
    assert "r1" in image.left_out[0]


@pytest.mark.parametrize("wrong", [3, {"id": 1}, [1], [{"image": "a.png", "label": []}]])
def test_what_is_no_export_is_named(wrong: Any) -> None:
    with pytest.raises(DataError, match="Label Studio"):
        read_label_studio(wrong)


def test_a_region_drawn_on_a_turned_image_is_left_out() -> None:
    value = {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": ["monocyte"]}
    region = {"type": "polygonlabels", "original_width": 40, "original_height": 30, "value": value}
    result = [{**region, "id": "a", "image_rotation": 90}, {**region, "id": "b", "image_rotation": 0}]
    [image] = read_label_studio([{"data": {"image": "a.png"}, "annotations": [{"result": result}]}])
    assert len(image.cells) == 1
    assert image.size_px == (40, 30)
    assert image.left_out == (
        "region a: was drawn on the image turned by 90 degrees; turn it back there and draw it again",
    )
