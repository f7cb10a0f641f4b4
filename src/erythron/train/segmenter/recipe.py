"""The segmenter from the public sets: an outliner for each fold and the one that ships.

Every network that was fitted is kept in the work folder under a name that its data and settings determine, so
that a run which was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from erythron.bundle.folder import SEGMENTATION, Bundle
from erythron.train.segmenter.augment import Spread
from erythron.train.segmenter.fit import FitConfig, Probabilities, fit_outliner
from erythron.train.segmenter.network import OutlineNet
from erythron.train.segmenter.samples import Windows, load_windows
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.shared.backbones import load_encoder
from erythron.train.shared.onnx_file import export_onnx, store_onnx

log = logging.getLogger(__name__)

MAX_EXPORT_DIFFERENCE = 2e-3


@dataclass(frozen=True)
class SegmenterConfig:
    """What to train on and how.

    Attributes:
        data: folder that holds the public sets.
        work: folder for networks that a later run may use again.
        folds: folds of the cross-validation.
        seed: of everything.
        fold_steps: batches of each outliner of the cross-validation; fewer than those of the one that ships,
            whose figures are therefore not flattered.
        outliner_steps: batches of the outliner that ships.
    """

    data: Path
    work: Path
    folds: int = 5
    seed: int = 0
    fold_steps: int = 900
    outliner_steps: int = 1800


@dataclass(frozen=True)
class TrainedSegmenter:
    """Networks ready for use.

    Attributes:
        outliner: of all folds.
        fold_outliners: by fold, fitted without it.
    """

    outliner: OutlineNet
    fold_outliners: dict[int, OutlineNet]


def train_segmenter(config: SegmenterConfig) -> TrainedSegmenter:
    """Fit all networks, or take those that an earlier run with the same data and settings has fitted.

    Raises:
        DataError: a set is missing.
        MissingExtraError: the training extra is not installed.
    """
    config.work.mkdir(parents=True, exist_ok=True)
    windows = load_windows(config.data, config.folds, config.seed)

    def outline(chosen: NDArray[np.bool_], steps: int) -> OutlineNet:
        settings = FitConfig(steps=steps, seed=config.seed)
        part = windows.take(np.flatnonzero(chosen))
        path = config.work / f"outliner-{_hash(settings, part.pixels, part.masks, part.points)}.pt"
        return _load(path) if path.exists() else _fit(path, part, settings)

    whole = outline(np.ones(len(windows.fold), bool), config.outliner_steps)
    by_fold = {fold: outline(windows.fold != fold, config.fold_steps) for fold in range(config.folds)}
    return TrainedSegmenter(whole, by_fold)


def copy_segmenter(bundle: Bundle, folder: Path) -> float:
    """Copy the network of a bundle and return the difference that its export had."""
    shutil.copyfile(bundle.segmentation_path, folder / SEGMENTATION)
    return bundle.card.export_difference


def export_segmenter(trained: TrainedSegmenter, folder: Path) -> float:
    """Write the ONNX file and return the largest difference of a probability between torch and OpenVINO.

    Raises:
        BundleError: they differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    path = folder / SEGMENTATION
    generator = torch.Generator().manual_seed(0)
    shape = (2, WINDOW_PX, WINDOW_PX, 3)
    pixels = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    whole = Probabilities(trained.outliner).eval()
    model = export_onnx(whole, {"pixels": pixels}, ("probabilities",))
    return store_onnx(model, path, whole, {"pixels": pixels}, MAX_EXPORT_DIFFERENCE)


def _load(path: Path) -> OutlineNet:
    net = OutlineNet(load_encoder())
    net.load_state_dict(torch.load(path, weights_only=True))
    net.eval()
    return net


def _fit(path: Path, windows: Windows, settings: FitConfig) -> OutlineNet:
    log.info("fitting %s", path.name)
    net = fit_outliner(windows, settings)
    part = path.with_suffix(".part")
    torch.save(net.state_dict(), part)
    part.replace(path)
    return net


def _hash(settings: FitConfig, *arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), asdict(Spread())], sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
