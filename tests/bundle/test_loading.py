"""Two runtimes, one result: which of them computes the networks must not show in a count."""

from __future__ import annotations

import builtins
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erythron.bundle import loading, runtime
from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.bundle.loading import describe_device, load_runtimes, open_runtime
from erythron.bundle.runtime import OnnxRuntime, OpenVinoRuntime, list_providers
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.errors import BundleError, MissingExtraError
from erythron.pipeline.crop import classify_crop
from erythron.pipeline.field import CountedField, Model, count_field, load_networks
from erythron.pipeline.settings import choose_settings
from erythron.read.image import ScaleSource, SmearImage
from erythron.synthetic.field import DrawnFieldSpec, draw_field

AGREE = 1e-4
"""How far probabilities may lie apart; float32 sums in another order differ by about 1e-6."""


@pytest.fixture(scope="module")
def fields() -> dict[RuntimeKind, CountedField]:
    bundle = load_bundle()
    rgb = draw_field(DrawnFieldSpec(600, 400, seed=2)).rgb
    image = SmearImage("field", rgb, 0.25, ScaleSource.OPTION)
    return {
        kind: count_field(
            image, Model(bundle, choose_settings(bundle), lambda kind=kind: load_networks(bundle, kind=kind))
        )
        for kind in RuntimeKind
    }


def test_a_field_has_the_same_cells_labels_and_probabilities(fields: dict[RuntimeKind, CountedField]) -> None:
    one, other = fields.values()
    assert one.cells.height > 10
    assert one.cells["cell_id"].to_list() == other.cells["cell_id"].to_list()
    assert one.cells["label"].to_list() == other.cells["label"].to_list()
    assert one.cells["flags"].to_list() == other.cells["flags"].to_list()
    columns = [name for name in one.cells.columns if name.startswith("prob_")]
    np.testing.assert_allclose(
        one.cells.select(columns).to_numpy(), other.cells.select(columns).to_numpy(), atol=AGREE, rtol=0
    )


def test_crops_have_the_same_labels_and_probabilities(fields: dict[RuntimeKind, CountedField]) -> None:
    bundle = load_bundle()
    networks = [load_networks(bundle, kind=kind) for kind in RuntimeKind]
    field = fields[RuntimeKind.OPENVINO]
    for outline in field.outlines[:4]:
        y, x = outline.top + outline.cell.shape[0] // 2, outline.left + outline.cell.shape[1] // 2
        crop = field.image.rgb[max(y - 60, 0) : y + 60, max(x - 60, 0) : x + 60]
        one, other = (classify_crop(SmearImage("crop", crop, 0.25, ScaleSource.OPTION), n) for n in networks)
        assert one["label"].to_list() == other["label"].to_list()
        columns = [name for name in one.columns if name.startswith("prob_")]
        np.testing.assert_allclose(
            one.select(columns).to_numpy(), other.select(columns).to_numpy(), atol=AGREE, rtol=0
        )


def test_each_kind_opens_its_runtime_and_says_where_it_computes() -> None:
    path = load_bundle().segmentation_path
    assert isinstance(open_runtime(path), OpenVinoRuntime)
    opened = open_runtime(path, RuntimeKind.ONNXRUNTIME)
    assert isinstance(opened, OnnxRuntime)
    assert opened.provider == list_providers()[0]
    assert describe_device(RuntimeKind.OPENVINO) == "OpenVINO, CPU"
    device = describe_device(RuntimeKind.ONNXRUNTIME)
    assert device == f"ONNX Runtime, {opened.provider.removesuffix('ExecutionProvider')}"


def test_a_network_is_loaded_once_in_a_process_and_anew_where_its_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    shutil.copyfile(load_bundle().classifier_path, path)
    first = open_runtime(path)
    assert open_runtime(path) is first
    shutil.copyfile(load_bundle().segmentation_path, path)
    assert open_runtime(path).sizes != first.sizes


def test_a_network_of_the_same_size_and_time_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a wheel or an archive have its time, whatever is in them."""
    monkeypatch.setattr(loading, "_load", lambda path, *_: path.read_bytes())
    path, new = tmp_path / "network.onnx", tmp_path / "new"
    for content, file in ((b"one", path), (b"two", new)):
        file.write_bytes(content)
        os.utime(file, (1_600_000_000, 1_600_000_000))
    assert open_runtime(path) == b"one"  # type: ignore[comparison-overlap]
    new.replace(path)
    assert open_runtime(path) == b"two"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["CPU"], ["CPU"]),
        (["Azure", "CPU"], ["CPU"]),
        (["Tensorrt", "CUDA", "CPU"], ["CUDA", "CPU"]),
        (["CPU", "CoreML"], ["CoreML", "CPU"]),
        (["Dml", "CPU"], ["Dml", "CPU"]),
    ],
)
def test_the_fastest_provider_that_is_installed_comes_first(
    installed: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = runtime.import_onnxruntime()
    names = [f"{name}ExecutionProvider" for name in installed]
    monkeypatch.setattr(module, "get_available_providers", lambda: names)
    assert list_providers() == tuple(f"{name}ExecutionProvider" for name in expected)


def test_a_missing_extra_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    loading._load_once.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'erythron\[onnxruntime\]'"):
        load_runtimes(load_bundle(), RuntimeKind.ONNXRUNTIME)


def test_a_file_that_is_no_network_is_named(tmp_path: Any) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")
    for kind in RuntimeKind:
        with pytest.raises(BundleError, match=r"broken\.onnx.*export it again"):
            open_runtime(path, kind)


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("framing", "input_px", 64, "pixels of the network are of size \\(3, 96, 96\\) and by model.json"),
        ("segmenter", "window_px", 128, "segmentation.onnx: pixels of the network"),
    ],
)
def test_sizes_that_are_not_the_networks_are_refused_at_loading(
    part: str, name: str, value: int, message: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    card = json.loads((folder / "model.json").read_text())
    card[part][name] = value
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=message):
        load_runtimes(load_bundle(folder))


def test_a_class_too_many_is_refused_at_loading(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    card = json.loads((folder / "model.json").read_text())
    card["classes"].append({**card["classes"][0], "name": "eleventh"})
    card["self_test"]["probabilities"].append(0)
    for row in card["evaluation"]["confusion"]:
        row.append(0)
    for row in card["evaluation"]["confident_confusion"]:
        row.append(0)
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match="logits of the network"):
        load_runtimes(load_bundle(folder))
