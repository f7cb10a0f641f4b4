from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import OnnxRuntime, OpenVinoRuntime
from erythron.bundle.schema import MaskInput
from erythron.cells.flags import CellFlag, has_flag, split_flags
from erythron.cells.outline import CellOutline, outlines_from_labels
from erythron.cells.table import list_cell_columns
from erythron.classify.calls import call_cells
from erythron.classify.classifier import CellInputs, Classifier, Predictions, select_planes, soften
from erythron.classify.crops import CellCrops
from erythron.classify.framing import MEASUREMENT_INPUTS, choose_mpp
from erythron.errors import BundleError
from erythron.pipeline.crop import classify_crop
from erythron.pipeline.field import Networks
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.segmenter import load_segmenter
from erythron.shape.measure import measure_cells


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(load_bundle(), OpenVinoRuntime(load_bundle().classifier_path, threads=1))


def make_inputs(count: int) -> CellInputs:
    side = load_bundle().card.framing.input_px
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    masks = np.zeros((count, side, side, 2), np.uint8)
    masks[:, 30:80, 30:80, 1] = masks[:, 40:70, 40:70, 0] = 255
    return CellInputs(
        CellCrops(pixels, masks), rng.normal(size=(count, len(MEASUREMENT_INPUTS))).astype(np.float32)
    )


@pytest.mark.parametrize("count", [0, 1, 3, 70])
def test_probabilities_sum_to_one_for_any_number_of_cells(classifier: Classifier, count: int) -> None:
    predicted = classifier.predict(make_inputs(count))
    probabilities = predicted.probabilities
    assert predicted.novelty.shape == (count,)
    assert probabilities.shape == (count, len(classifier.bundle.classes))
    assert probabilities.dtype == np.float64
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)


def test_a_network_gets_the_planes_that_it_was_trained_on() -> None:
    masks = np.zeros((2, 24, 24, 2), np.uint8)
    masks[:, 8:16, 8:12, 0] = 255
    masks[:, 4:20, 4:20, 1] = 255
    masks[:, 4:12, 12:20, 1] = 0
    assert np.array_equal(select_planes(masks, MaskInput.NUCLEUS_CELL), masks)
    assert np.array_equal(select_planes(masks, MaskInput.CELL), masks[..., 1:])
    hull = select_planes(masks, MaskInput.HULL)
    assert hull.shape == (2, 24, 24, 1)
    assert hull[0, 10, 13, 0] == 255 > masks[0, 10, 13, 1]
    assert hull[0, 4, 19, 0] == 0


def test_a_cell_does_not_depend_on_its_batch(classifier: Classifier) -> None:
    whole = make_inputs(5)
    alone = CellInputs(CellCrops(whole.crops.pixels[2:3], whole.crops.masks[2:3]), whole.measurements[2:3])
    together, apart = classifier.predict(whole), classifier.predict(alone)
    np.testing.assert_allclose(together.probabilities[2], apart.probabilities[0], atol=1e-5)
    np.testing.assert_allclose(together.novelty[2], apart.novelty[0], atol=1e-4)


def test_runtimes_agree(classifier: Classifier) -> None:
    import onnxruntime  # noqa: F401

    other = Classifier(classifier.bundle, OnnxRuntime(classifier.bundle.classifier_path))
    cells = make_inputs(4)
    mine, others = classifier.predict(cells), other.predict(cells)
    np.testing.assert_allclose(mine.probabilities, others.probabilities, atol=1e-4)
    np.testing.assert_allclose(mine.novelty, others.novelty, atol=1e-3)


@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_a_broken_network_is_named(tmp_path: Path, runtime: type[OpenVinoRuntime | OnnxRuntime]) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"broken\.onnx"):
        runtime(path)


def test_a_higher_temperature_is_less_sure() -> None:
    logits = np.array([[3.0, 1.0, 0.0]])
    assert soften(logits, 1.0).max() > soften(logits, 2.0).max() > 1 / 3


def test_the_scale_of_an_image_is_taken_or_assumed() -> None:
    framing = load_bundle().card.framing
    crop, field = np.zeros((137, 140, 3), np.uint8), np.zeros((900, 1200, 3), np.uint8)
    assert choose_mpp(SmearImage("a", crop, 0.1, ScaleSource.OPTION), framing) == 0.1
    unknown = choose_mpp(SmearImage("a", crop, None, ScaleSource.UNKNOWN), framing)
    assert unknown * 137 == pytest.approx(framing.crop_width_um)
    assert choose_mpp(SmearImage("a", field, None, ScaleSource.UNKNOWN), framing) == framing.field_mpp


def draw_cells() -> tuple[SmearImage, tuple[CellOutline, ...]]:
    rgb = np.full((120, 160, 3), 230, np.uint8)
    nucleus, cell = np.zeros((120, 160), np.int32), np.zeros((120, 160), np.int32)
    for i, x in enumerate((0, 60, 110)):
        cell[40:80, x : x + 40] = i + 1
        nucleus[50:70, x + 10 : x + 30] = i + 1
    rgb[cell > 0], rgb[nucleus > 0] = (170, 160, 200), (90, 50, 130)
    return SmearImage("drawn.png", rgb, 0.25, ScaleSource.OPTION), outlines_from_labels(nucleus, cell)


def test_calls_follow_their_schema_and_flag_edges(classifier: Classifier) -> None:
    image, outlines = draw_cells()
    calls = call_cells(image, outlines, measure_cells(image.rgb, outlines, image.mpp), classifier)
    assert calls.schema == pl.Schema(list_cell_columns(classifier.bundle.classes))
    assert calls["cell_id"].to_list() == [outline.cell_id for outline in outlines]
    assert calls.columns[:8] == [
        "image",
        "cell_id",
        "x_px",
        "y_px",
        "width_px",
        "height_px",
        "label",
        "confidence",
    ]
    assert calls.columns[-2:] == ["counted_as", "flags"]
    assert calls.select(has_flag(CellFlag.TOUCHES_EDGE)).to_series().to_list() == [True, False, False]
    names = [c.name for c in classifier.bundle.classes]
    probabilities = calls.select([f"prob_{n}" for n in names]).to_numpy()
    assert calls["label"].to_list() == [names[i] for i in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(calls["confidence"].to_numpy(), probabilities.max(axis=1))
    below = calls["confidence"] < classifier.bundle.card.unclassified_below
    assert calls.select(has_flag(CellFlag.UNCLASSIFIED)).to_series().to_list() == below.to_list()
    assert calls["counted_as"].to_list() == [
        "unclassified" if unsure else label for unsure, label in zip(below, calls["label"], strict=True)
    ]


def test_flags_say_what_the_model_found(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    image, outlines = draw_cells()
    count = len(classifier.bundle.classes)
    unsure = np.full((3, count), 1 / count)
    sure = np.array([0.99, *[0.01 / (count - 1)] * (count - 1)])
    unsure[1] = sure
    predicted = Predictions(unsure, np.array([0.5, 1.5, np.nan]))
    monkeypatch.setattr(classifier, "predict", lambda _: predicted)
    calls = call_cells(image, outlines, measure_cells(image.rgb, outlines, image.mpp), classifier)
    assert [split_flags(text) for text in calls["flags"]] == [
        {"unclassified", "touches_edge"}, set(), {"unclassified"},
    ]  # fmt: skip
    assert calls["novelty"].to_list() == [0.5, 1.5, None]
    first = classifier.bundle.classes[0].name
    assert calls["counted_as"].to_list() == ["unclassified", first, "unclassified"]


def test_an_image_without_cells_has_an_empty_table(classifier: Classifier) -> None:
    image, _ = draw_cells()
    calls = call_cells(image, (), measure_cells(image.rgb, (), None), classifier)
    assert calls.height == 0
    assert calls.schema == pl.Schema(list_cell_columns(classifier.bundle.classes))


def test_classifying_imports_no_torch() -> None:
    code = (
        "import sys, erythron.classify.calls, erythron.classify.selftest;"
        "import erythron.datasets.manifest, erythron.datasets.folds;"
        "bad = {'torch', 'timm', 'onnx', 'onnxruntime', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.real_data
def test_real_crops_get_the_lineage_of_their_label(classifier: Classifier, data_dir: Path) -> None:
    names = ["proerythroblast", "polychromatic", "orthochromatic", "segmented", "plasma"]
    folder = data_dir / "pathology-bites-cells"
    paths = [p for name in names for p in sorted(folder.rglob(f"{name}_*.png"))[:3]]
    networks = Networks(load_segmenter(classifier.bundle), classifier)
    right = 0
    for path in paths:
        image = read_image(path)
        calls = classify_crop(image, networks)
        assert calls.height == 1
        right += ("erythroblast" in calls["label"][0]) == (path.name[0] in "po" and "plasma" not in path.name)
    # These crops were trained on: this asks whether the path works, not how well the model does.
    assert right >= len(paths) - 2
