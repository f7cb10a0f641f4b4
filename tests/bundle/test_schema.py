from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from erythron.bundle.folder import CARD, DEFAULT_BUNDLE
from erythron.bundle.schema import ModelCard


def make_content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEFAULT_BUNDLE / CARD).read_text())
    return content


def test_every_bundle_must_say_what_the_shipped_one_says() -> None:
    """None of what a reader of a count relies on may be left out, whoever trained the bundle."""
    for name in (
        "temperature",
        "unclassified_below",
        "unclassified_rule",
        "calibrated_on",
        "measurements",
        "evaluation",
        "data",
        "outline_data",
        "split_hash",
    ):
        content = make_content()
        del content[name]
        with pytest.raises(ValidationError, match=name):
            ModelCard.model_validate(content)
    content = make_content()
    del content["evaluation"]["confident_confusion"]
    with pytest.raises(ValidationError, match="confident_confusion"):
        ModelCard.model_validate(content)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("evaluation", "confusion"), [[1]], "a row for every true class"),
        (("evaluation", "confident_confusion"), [[1]], "one column more"),
        (("evaluation", "method"), "by eye", "cross_validation"),
        (("evaluation", "cells"), 0, "greater than or equal to 1"),
        (("detection", "erythroid", "found"), 86, "of 85 drawn cells 86 cannot have been found"),
        (("unclassified_below",), 1.5, "less than or equal to 1"),
        (("normalisation", "sd"), [0.5, 0, 0.5], "greater than or equal to 0.01"),
        (("normalisation", "mean"), [1e30, 0, 0], "less than or equal to 2"),
        (("measurements", 0, "sd"), 0, "greater than 0"),
        (("evaluation", "confusion", 0, 0), -1, "greater than or equal to 0"),
        (("evaluation", "confident_confusion", 0, 0), -1, "greater than or equal to 0"),
        (("framing", "input_mpp"), 1e-9, "greater than or equal to 0.01"),
        (("framing", "input_mpp"), 1e9, "less than or equal to 10"),
        (("framing", "crop_width_um"), 1e9, "less than or equal to 1000"),
        (("framing", "field_mpp"), 1e-300, "greater than or equal to 0.01"),
        (("segmenter", "stain_mpp"), 1e-9, "greater than or equal to 0.01"),
        (("segmenter", "window_mpp"), 1e9, "less than or equal to 10"),
        (("segmenter", "assumed_shares"), [1.0] * 1000, "at most 32"),
        (("temperature",), 1e-300, "greater than or equal to 0.01"),
        (("self_test", "mpp"), 1e9, "less than or equal to 10"),
        (("self_test", "image"), "../../secret.png", "pattern"),
        (("self_test", "image"), "other.png", "not among the files"),
        (("files",), {"../classifier.onnx": "0" * 64}, "pattern"),
        (("classes", 0, "name"), "=cmd()", "pattern"),
        (("classes", 0, "name"), "<b>", "pattern"),
        (("classes", 0, "name"), "unclassified", "cannot be called"),
        (("classes", 0, "title"), "<script>alert(1)</script>", "pattern"),
        (("name",), "a<b>", "pattern"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_is_refused(
    path: tuple[Any, ...], value: object, message: str
) -> None:
    content = make_content()
    place: Any = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        ModelCard.model_validate(content)


def test_two_measurements_of_one_name_are_refused() -> None:
    content = make_content()
    content["measurements"][1] = content["measurements"][0]
    with pytest.raises(ValidationError, match="two measurements have one name"):
        ModelCard.model_validate(content)
