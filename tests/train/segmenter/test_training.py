"""Fitting the outliner on drawn sets laid out like the public ones: small, but every part runs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from scipy import ndimage
from torch import nn

from erythron.bundle.folder import SEGMENTATION
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.bundle.schema import Framing
from erythron.errors import DataError
from erythron.segment.segmenter import Segmenter
from erythron.train.folded_sets import read_blood
from erythron.train.segmenter.augment import Spread, make_batch, plain_batch
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.network import OutlineNet
from erythron.train.segmenter.recipe import (
    SegmenterConfig,
    TrainedSegmenter,
    export_segmenter,
    train_segmenter,
)
from erythron.train.segmenter.samples import (
    STORE_PX,
    Windows,
    load_windows,
)
from erythron.train.segmenter.stained import find_lone_cell, find_nucleus
from erythron.train.segmenter.use import CARD, WINDOW_PX
from erythron.train.shared.backbones import load_encoder

FRAMING = Framing(input_px=112, input_mpp=0.22, crop_width_um=32.0, crop_max_px=420, field_mpp=0.25)


def draw(side: tuple[int, int], radius: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A cell in the middle of an image, and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: side[0], : side[1]]
    away = np.hypot(y - side[0] / 2, x - side[1] / 2)
    image = np.full((*side, 3), (238, 230, 215), float)
    image[away < radius * 1.4] = (175, 165, 205)
    image[away < radius] = (90, 40, 130)
    mask = np.where(away < radius, 255, np.where(away < radius * 1.4, 128, 0)).astype(np.uint8)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8), mask


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for k, label in enumerate(("proerythroblast", "basophilic", "band")):
        for i in range(4):
            image, mask = draw((137, 137), 28 - 5 * k, 10 * k + i)
            save(folder / "pathology-bites-cells" / "cells" / f"{label}_{i:03d}.png", image)
            save(folder / "marrow-masks" / f"{label}_{i:03d}.png", mask)
    (folder / "pathology-bites-cells" / "overlap_groups.json").write_text(
        json.dumps([["band_000.png", "band_001.png"]])
    )
    for i in range(4):
        image, mask = draw((256, 256), 45, 100 + i)
        name = f"{'baso' if i == 3 else 'neut'}_{i}-1_0"
        save(folder / "bcisc" / "sub-images" / "images" / f"{name}.jpg", image)
        save(folder / "bcisc" / "sub-images" / "masks" / f"{name}.png", (mask > 64).astype(np.uint8) * 255)
        image, mask = draw((480, 640), 60, 200 + i)
        save(folder / "bccd" / "BCCD" / "JPEGImages" / f"BloodImage_{i:05d}.jpg", image)
        save(folder / "bccd-masks" / f"BloodImage_Mask_{i:05d}.png", mask)
        box = "<xmin>20</xmin><ymin>30</ymin><xmax>120</xmax><ymax>130</ymax>"
        annotation = folder / "bccd" / "BCCD" / "Annotations" / f"BloodImage_{i:05d}.xml"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_text(f"<a><object><name>RBC</name><bndbox>{box}</bndbox></object></a>")
        for k, label in enumerate(("monocyte", "neutrophil")):
            image, _ = draw((360, 360), 50, 300 + 10 * k + i)
            save(folder / "pbc-acevedo" / "wbc" / label / f"{i}.jpg", image)
    return folder


@pytest.fixture(scope="module")
def windows(data: Path) -> Windows:
    return load_windows(data, 2, 0)


def test_every_drawn_cell_has_a_window_around_its_nucleus(windows: Windows) -> None:
    sources, counts = np.unique(windows.source[windows.has_cell], return_counts=True)
    assert dict(zip(sources.tolist(), counts.tolist(), strict=True)) == {
        "marrow": 12,
        "bcisc": 4,
        "bccd": 4,
        "pbc": 4,
    }
    middle = STORE_PX // 2
    assert (windows.masks[windows.has_cell][:, middle, middle, 1] > 127).all()


def test_nuclei_that_no_one_drew_are_taken_from_the_stain_but_not_in_basophils(windows: Windows) -> None:
    cells = windows.take(np.flatnonzero(windows.has_cell & (windows.source == "bcisc")))
    assert cells.nucleus_known.tolist() == [not name.startswith("baso") for name in cells.name]
    area = (cells.masks[cells.nucleus_known] > 127).sum((1, 2))
    np.testing.assert_allclose(np.sqrt(area[:, 0] / area[:, 1]), 1 / 1.4, rtol=0.03)


def test_a_nucleus_is_found_only_where_the_stain_parts_it_from_the_cytoplasm() -> None:
    image, mask = draw((120, 120), 20, 0)
    cell = mask > 64
    nucleus = find_nucleus((image / 255).astype(np.float32), cell)
    assert nucleus is not None
    truth = mask > 200
    assert 2 * (nucleus & truth).sum() / (nucleus.sum() + truth.sum()) > 0.97
    assert find_nucleus(np.full((120, 120, 3), 0.5, np.float32), cell) is None
    granular = np.exp(-np.abs(np.random.default_rng(1).normal(0, 1, (120, 120, 3)))).astype(np.float32)
    assert find_nucleus(granular, cell) is None


def test_a_cell_that_touches_another_or_the_border_is_not_alone() -> None:
    image, mask = draw((120, 120), 20, 0)
    light = ndimage.gaussian_filter(image / np.array([238.0, 230.0, 215.0]), (1, 1, 0)).astype(np.float32)
    alone = find_lone_cell(light, 0.25)
    assert alone is not None
    assert 2 * (alone & (mask > 64)).sum() / (alone.sum() + (mask > 64).sum()) > 0.97
    touching = np.minimum(light, np.roll(light, 50, axis=1))
    assert find_lone_cell(touching, 0.25) is None
    assert find_lone_cell(light[:75], 0.25) is None
    assert find_lone_cell(np.ones((120, 120, 3), np.float32), 0.25) is None


def test_lone_granulocytes_are_outlined_by_their_stain_and_held_out_with_their_fold(
    windows: Windows, data: Path
) -> None:
    cells = windows.take(np.flatnonzero(windows.source == "pbc"))
    assert cells.nucleus_known.all()
    area = (cells.masks > 127).sum((1, 2))
    np.testing.assert_allclose(np.sqrt(area[:, 0] / area[:, 1]), 1 / 1.4, rtol=0.05)
    blood, fold_of = read_blood(data, 2, 0)
    expected = dict(zip([Path(p).name for p in blood.rows["path"]], fold_of.tolist(), strict=True))
    neutrophils = blood.rows["source_label"] == "neutrophil"
    assert len(cells.name) == neutrophils.sum()
    assert cells.fold.tolist() == [expected[name] for name in cells.name]


def test_a_window_may_be_centred_where_the_stain_proposes_the_cell(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell & windows.nucleus_known)
    assert not np.isnan(windows.points[index, 0]).any()
    lobe = np.full_like(windows.points, np.nan)
    lobe[:, 0] = 5, -3
    moved = replace(windows, points=lobe)
    batch = make_batch(moved, index, WINDOW_PX, np.random.default_rng(2), Spread(proposed=1, crowd=1))
    middle = WINDOW_PX // 2
    assert (batch.masks[:, 0, middle - 1 : middle + 1, middle - 1 : middle + 1].amax((1, 2)) > 0.5).all()
    place = np.arange(WINDOW_PX) - (WINDOW_PX - 1) / 2
    alone = make_batch(
        moved, index, WINDOW_PX, np.random.default_rng(2), Spread(proposed=1, crowd=0, log_scale=0)
    )
    for nucleus in alone.masks[:, 0].numpy():
        away = [(nucleus.sum(axis) * place).sum() / nucleus.sum() for axis in (0, 1)]
        np.testing.assert_allclose(np.hypot(*away), np.hypot(5, 3), atol=1)


def test_windows_of_one_piece_of_smear_share_a_fold(windows: Windows) -> None:
    folds = windows.fold[np.isin(windows.name, ["band_000.png", "band_001.png"])]
    assert len(set(folds.tolist())) == 1


def test_colour_changes_pixels_and_no_mask(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell)[:6]
    still = Spread(log_scale=0, shift=0, proposed=0, crowd=0)
    batch = make_batch(windows, index, WINDOW_PX, np.random.default_rng(0), still)
    plain = plain_batch(windows, index, WINDOW_PX)
    assert np.unique(batch.masks.round(decimals=3).numpy()).size > 2
    area, plain_area = batch.masks.sum((2, 3)), plain.masks.sum((2, 3))
    np.testing.assert_allclose(area.numpy(), plain_area.numpy(), rtol=0.03)
    assert abs(batch.pixels - plain.pixels).mean() > 0.01


def test_a_second_cell_takes_its_part_of_the_first(windows: Windows) -> None:
    index = np.flatnonzero(windows.has_cell)
    alone = make_batch(windows, index, WINDOW_PX, np.random.default_rng(1), Spread(crowd=0))
    crowded = make_batch(windows, index, WINDOW_PX, np.random.default_rng(1), Spread(crowd=1))
    assert (crowded.masks <= alone.masks + 1e-6).all()
    lost = 1 - crowded.masks[:, 1].sum((1, 2)) / alone.masks[:, 1].sum((1, 2))
    assert 0.01 < float(lost.mean()) < 0.4


def test_networks_are_fitted_exported_and_taken_again(data: Path, tmp_path: Path) -> None:
    config = SegmenterConfig(data, tmp_path / "work", folds=2, fold_steps=3, outliner_steps=3)
    trained = train_segmenter(config)
    assert export_segmenter(trained, tmp_path) < 2e-3
    kept = {p.name: p.stat().st_mtime_ns for p in config.work.iterdir()}
    again = train_segmenter(config)
    assert {p.name: p.stat().st_mtime_ns for p in config.work.iterdir()} == kept
    for mine, other in zip(trained.outliner.parameters(), again.outliner.parameters(), strict=True):
        assert bool((mine == other).all())

    pixels = np.random.default_rng(0).integers(0, 256, (3, WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    mine = TorchRuntime(trained.outliner).run({"pixels": pixels})["probabilities"]
    shipped = OpenVinoRuntime(tmp_path / SEGMENTATION).run({"pixels": pixels})["probabilities"]
    np.testing.assert_allclose(mine, shipped, atol=2e-3)
    assert b"recipe.py" not in (tmp_path / SEGMENTATION).read_bytes()

    segmenters = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in trained.fold_outliners.items()}
    scores = outline_out_of_fold(data, segmenters, FRAMING, 0, tmp_path / "outlines")
    assert scores.height == 20
    assert scores["cell_dice"].is_between(0, 1).all()
    assert (tmp_path / "outlines" / "marrow" / "cells" / "band_000.png").exists()
    figures = estimate_dice(scores, 0)
    assert {"marrow_cell_dice_mean", "marrow_nucleus_dice_p10", "bcisc_cell_dice_mean"} <= figures.keys()
    assert "bcisc_nucleus_dice_mean" not in figures


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pathology-bites-cells"):
        train_segmenter(SegmenterConfig(tmp_path, tmp_path / "work"))


def test_the_exported_graph_only_computes_on_pixels(tmp_path: Path) -> None:
    net = OutlineNet(load_encoder()).eval()
    export_segmenter(TrainedSegmenter(net, {}), tmp_path)
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / SEGMENTATION).graph.node)
    # Sides are known: only how many windows there are is asked of the input, and no padding is worked out.
    assert kinds["Shape"] <= 1
    assert not kinds.keys() & {"Pad", "Range", "Gather", "Ceil"}
    convolutions = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    assert kinds["Conv"] == convolutions
