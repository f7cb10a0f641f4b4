"""The segmenter from the public sets: outliners by fold, their marks for the detector, and both networks.

Every network that was fitted is kept in the work folder under a name that its data and settings determine, so
that a run which was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from erythron.errors import BundleError
from erythron.models.bundle import DETECTOR, OUTLINER, Bundle
from erythron.models.runtime import OpenVinoRuntime
from erythron.models.schema import SegmenterCard
from erythron.train.network import load_backbone
from erythron.train.onnx_file import strip_traces
from erythron.train.segmenter.fit import (
    FitConfig,
    Probabilities,
    TorchRuntime,
    fit_detector,
    fit_outliner,
)
from erythron.train.segmenter.network import SegmentNet
from erythron.train.segmenter.samples import WINDOW_MPP, WINDOW_PX, Windows, load_windows
from erythron.train.segmenter.scenes import DETECTOR_MPP, Scenes, load_scenes

log = logging.getLogger(__name__)

MAX_EXPORT_DIFFERENCE = 2e-3
CARD = SegmenterCard(
    detector_mpp=DETECTOR_MPP,
    centre_reach_um=1.5,
    least_heat=0.3,
    window_px=WINDOW_PX,
    window_mpp=WINDOW_MPP,
    least_score=0.4,
    most_overlap=0.4,
    central_spread=0.5,
)


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
        detector_steps: batches of the detector.
    """

    data: Path
    work: Path
    folds: int = 5
    seed: int = 0
    fold_steps: int = 500
    outliner_steps: int = 800
    detector_steps: int = 400


@dataclass(frozen=True)
class TrainedSegmenter:
    """Networks ready for use.

    Attributes:
        detector: of all folds.
        outliner: of all folds.
        fold_outliners: by fold, fitted without it.
    """

    detector: SegmentNet
    outliner: SegmentNet
    fold_outliners: dict[int, SegmentNet]


def train_segmenter(config: SegmenterConfig) -> TrainedSegmenter:
    """Fit all networks, or take those that an earlier run with the same data and settings has fitted.

    The detector is fitted once, on marks that outliners made of images which they had not seen.

    Raises:
        DataError: a set is missing.
        MissingExtraError: the training extra is not installed.
    """
    config.work.mkdir(parents=True, exist_ok=True)
    windows = load_windows(config.data, config.folds, config.seed)

    def outline(chosen: NDArray[np.bool_], steps: int) -> SegmentNet:
        settings = FitConfig(steps=steps, seed=config.seed)
        part = windows.take(np.flatnonzero(chosen))
        key = _hash(settings, part.pixels, part.masks)
        return _keep(
            config.work / f"outliner-{key}.pt", lambda: fit_outliner(part, settings), 2, centred=True
        )

    by_fold = {fold: outline(windows.fold != fold, config.fold_steps) for fold in range(config.folds)}
    final = outline(np.ones(len(windows.fold), bool), config.outliner_steps)
    scenes = _mark_scenes(config, by_fold, windows)
    settings = FitConfig(steps=config.detector_steps, seed=config.seed)
    key = _hash(settings, scenes.pixels, scenes.heat, scenes.known)
    detector = _keep(
        config.work / f"detector-{key}.pt", lambda: fit_detector(scenes, settings), 1, centred=False
    )
    return TrainedSegmenter(detector, final, by_fold)


def export_segmenter(trained: TrainedSegmenter, folder: Path) -> float:
    """Write both ONNX files and return the largest difference of a probability between torch and OpenVINO.

    Raises:
        BundleError: they differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    return max(
        _export(trained.detector, folder / DETECTOR, (1, 64, 96)),
        _export(trained.outliner, folder / OUTLINER, (2, WINDOW_PX, WINDOW_PX)),
    )


def copy_segmenter(bundle: Bundle, folder: Path) -> float:
    """Copy the networks of a bundle and return the difference that its export had."""
    for path in (bundle.detector_path, bundle.outliner_path):
        shutil.copyfile(path, folder / path.name)
    return bundle.card.export_difference


def _mark_scenes(config: SegmenterConfig, by_fold: dict[int, SegmentNet], windows: Windows) -> Scenes:
    states = [value.numpy() for net in by_fold.values() for value in net.state_dict().values()]
    path = config.work / f"scenes-{_hash(config.seed, windows.name, *states)}.npz"
    if not path.exists():
        log.info("marking scenes")
        runtimes = {fold: TorchRuntime(net) for fold, net in by_fold.items()}
        scenes = load_scenes(config.data, runtimes, config.folds, config.seed)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **{name: getattr(scenes, name) for name in Scenes.__dataclass_fields__})
        part.replace(path)
    with np.load(path) as stored:
        return Scenes(**{name: stored[name] for name in Scenes.__dataclass_fields__})


def _keep(path: Path, fit: Callable[[], SegmentNet], outputs: int, *, centred: bool) -> SegmentNet:
    if path.exists():
        net = SegmentNet(load_backbone(), outputs, centred=centred)
        net.load_state_dict(torch.load(path, weights_only=True))
        net.eval()
        return net
    log.info("fitting %s", path.name)
    net = fit()
    part = path.with_suffix(".part")
    torch.save(net.state_dict(), part)
    part.replace(path)
    return net


def _hash(settings: object, *arrays: NDArray[np.generic]) -> str:
    described = asdict(settings) if isinstance(settings, FitConfig) else settings
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _export(net: SegmentNet, path: Path, shape: tuple[int, int, int]) -> float:
    count, height, width = shape
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, height, width, 3), generator=generator).to(torch.uint8)
    whole = Probabilities(net).eval()
    axes = {0: "batch"} if net.centred else {0: "batch", 1: "rows", 2: "columns"}
    # The exporter by tracing: the newer one takes many minutes over sides that are multiples of 16.
    torch.onnx.export(
        whole,
        (pixels,),
        path,
        input_names=["pixels"],
        output_names=["probabilities"],
        dynamic_axes={"pixels": axes, "probabilities": {0: "batch"}},
        dynamo=False,
    )
    onnx.save(strip_traces(onnx.load(path)), path)
    with torch.no_grad():
        expected = whole(pixels).numpy()
    difference = float(
        np.abs(expected - OpenVinoRuntime(path).run({"pixels": pixels.numpy()})["probabilities"]).max()
    )
    if difference > MAX_EXPORT_DIFFERENCE:
        raise BundleError(
            f"{path}: OpenVINO's probabilities differ from torch's by {difference:.2g}, more than "
            f"{MAX_EXPORT_DIFFERENCE:g}; train with other versions of torch or OpenVINO"
        )
    return difference
