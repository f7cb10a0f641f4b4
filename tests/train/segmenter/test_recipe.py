"""Fitting, keeping and exporting the networks of a recipe's sets."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from tests.ahead import Ended

from erythron.bundle.folder import SEGMENTATION
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.bundle.schema import Framing
from erythron.errors import DataError, UsageError
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter import network
from erythron.train.segmenter.augment import Spread
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import FitConfig, TorchRuntime, make_network
from erythron.train.segmenter.recipe import (
    SegmenterConfig,
    export_segmenter,
    fit_folds,
    hash_fit,
    train_segmenter,
)
from erythron.train.segmenter.sets import DEFAULT_SETS, SegmenterSet
from erythron.train.segmenter.use import CARD, WINDOW_PX
from erythron.train.segmenter.windows import Windows

from .images import draw_sets
from .test_annotations import make_own_set
from .test_network import check_graph

FRAMING = Framing(input_px=112, input_mpp=0.22, crop_width_um=32.0, crop_max_px=420, field_mpp=0.25)


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.train.segmenter.test_recipe", folder]


def configure(folder: Path) -> SegmenterConfig:
    return SegmenterConfig(folder / "data", folder / "work", folds=2, fold_steps=1, steps=2)


def configure_own(folder: Path) -> SegmenterConfig:
    sets = (*DEFAULT_SETS[:1], SegmenterSet(str(folder / "own"), 0.5))
    return SegmenterConfig(folder / "data", folder / "own-work", sets=sets, folds=2, fold_steps=1)


def outline(config: SegmenterConfig, networks: dict[int, network.SegmentationNetwork], out: Path) -> None:
    """Outline with the networks of the folds, and write the scores beside the outlines."""
    segmenters = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in networks.items()}
    outline_out_of_fold(config, segmenters, FRAMING, out).write_parquet(out / "scores.parquet")


def make_networks(folder: Path) -> None:
    """Fit the networks of drawn sets, export the one that ships, and outline with those of the folds.

    Then outline by networks of a public set and of one's own.
    """
    draw_sets(folder / "data")
    config = configure(folder)
    trained = train_segmenter(config)
    again = train_segmenter(config)
    for mine, other in zip(trained.network.parameters(), again.network.parameters(), strict=True):
        assert bool((mine == other).all())
    sys.stdout.write(str(export_segmenter(trained, folder)))
    outline(config, trained.fold_networks, folder / "outlines")
    make_own_set(folder / "own", 0.25)
    outline(configure_own(folder), fit_folds(configure_own(folder)), folder / "own-outlines")


@pytest.mark.ahead(start=prepare)
def test_networks_are_fitted_exported_and_taken_again(ahead: Ended) -> None:
    assert ahead.returncode == 0, ahead.stderr
    assert float(ahead.stdout) < 2e-3
    folder, config = ahead.folder, configure(ahead.folder)
    kept = {p.name: p.stat().st_mtime_ns for p in config.work.iterdir()}
    assert len(kept) == 3
    again = train_segmenter(config)
    assert {p.name: p.stat().st_mtime_ns for p in config.work.iterdir()} == kept

    pixels = np.random.default_rng(0).integers(0, 256, (3, WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    mine = TorchRuntime(again.network).run({"pixels": pixels})["probabilities"]
    shipped = OpenVinoRuntime(folder / SEGMENTATION).run({"pixels": pixels})["probabilities"]
    np.testing.assert_allclose(mine, shipped, atol=2e-3)
    assert b"recipe.py" not in (folder / SEGMENTATION).read_bytes()
    check_graph(onnx.load(folder / SEGMENTATION))

    scores = pl.read_parquet(folder / "outlines" / "scores.parquet")
    assert scores.height == 20
    assert scores["cell_dice"].is_between(0, 1).all()
    assert (folder / "outlines" / "marrow" / "cells" / "band_000.png").exists()
    assert (folder / "outlines" / "bccd" / "BCCD" / "JPEGImages" / "BloodImage_00003.png").exists()
    figures = estimate_dice(scores, 0)
    assert {"marrow_cell_dice_mean", "marrow_nucleus_dice_p10", "bcisc_cell_dice_mean"} <= figures.keys()
    assert "bcisc_nucleus_dice_mean" not in figures


@pytest.mark.ahead(start=prepare)
def test_a_set_of_ones_own_joins_by_one_entry_of_the_recipe(ahead: Ended) -> None:
    assert ahead.returncode == 0, ahead.stderr
    assert configure_own(ahead.folder).shares == {"marrow": 0.45, "own": 0.5}
    out = ahead.folder / "own-outlines"
    scores = pl.read_parquet(out / "scores.parquet")
    assert scores.filter(source="own").height == 6
    assert scores.filter(source="own")["group"].n_unique() == 3
    assert (out / "own" / "crops" / "0.png").exists()


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    sets = (SegmenterSet("a/own", 1.0), SegmenterSet("b/own.csv", 1.0))
    with pytest.raises(UsageError, match="sets are called own"):
        SegmenterConfig(None, tmp_path, sets=sets)


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pathology-bites-cells"):
        train_segmenter(SegmenterConfig(tmp_path, tmp_path / "work"))


SETTINGS = FitConfig(steps=3)


@pytest.fixture(scope="module")
def known(windows: Windows) -> str:
    """The hash of the settings and the windows that the tests change."""
    found = hash_fit(windows, SETTINGS)
    assert hash_fit(windows, SETTINGS) == found
    return found


@pytest.mark.parametrize(
    "changed",
    [
        replace(SETTINGS, shares={**SETTINGS.shares, "bccd": 0.2}),
        replace(SETTINGS, empty_share=0.2),
        replace(SETTINGS, spread=Spread(gap=(0.8, 1.25))),
        replace(SETTINGS, steps=4),
        replace(SETTINGS, rate=1e-3),
        replace(SETTINGS, seed=1),
    ],
    ids=["shares", "empty share", "spread", "steps", "rate", "seed"],
)
def test_other_settings_are_another_network(windows: Windows, changed: FitConfig, known: str) -> None:
    assert hash_fit(windows, changed) != known


@pytest.mark.parametrize("part", ["pixels", "masks", "points", "nucleus_known", "source"])
def test_other_windows_are_another_network(windows: Windows, part: str, known: str) -> None:
    values = getattr(windows, part).copy()
    values[:] = values[::-1].copy()
    assert hash_fit(replace(windows, **{part: values}), SETTINGS) != known


def test_another_decoder_encoder_or_torch_is_another_network(
    windows: Windows, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(network, "WIDTHS", (24, 32, 48, 56))
        assert hash_fit(windows, SETTINGS) != known

    def make_with_other_encoder(seed: int) -> network.SegmentationNetwork:
        net = make_network(seed)
        with torch.no_grad():
            next(net.stem.parameters()).view(-1)[0] += 1
        return net

    with monkeypatch.context() as patch:
        patch.setattr("erythron.train.segmenter.recipe.make_network", make_with_other_encoder)
        assert hash_fit(windows, SETTINGS) != known
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert hash_fit(windows, SETTINGS) != known


if __name__ == "__main__":
    make_networks(Path(sys.argv[1]))
