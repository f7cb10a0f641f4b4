"""The segmentation networks of a recipe's sets: one for each fold and the one that ships.

Every network that was fitted is kept in the work folder under a name that all that changes it determines, so
that a run which was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from erythron.bundle.folder import SEGMENTATION
from erythron.errors import UsageError
from erythron.files.hashing import hash_bytes, hash_text
from erythron.files.writing import whole_file
from erythron.train.segmenter.augment import Spread
from erythron.train.segmenter.fit import FitConfig, Probabilities, fit_network, make_network
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.sets import DEFAULT_SETS, SegmenterSet, name_source
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.segmenter.windows import Windows, load_windows
from erythron.train.shared.onnx_file import export_onnx, store_onnx

log = logging.getLogger(__name__)

MAX_EXPORT_DIFFERENCE = 2e-3
"""Largest difference of a probability between torch and OpenVINO that is taken for rounding."""


@dataclass(frozen=True)
class SegmenterConfig:
    """What to train on and how.

    Attributes:
        data: folder that holds the registered sets; None looks where ``erythron data fetch`` puts them.
        work: folder for networks that a later run may use again.
        sets: sets to learn from, with their shares.
        folds: folds of the cross-validation.
        seed: of everything.
        fold_steps: batches of each network of the cross-validation; fewer than those of the one that ships,
            whose figures are therefore not flattered.
        steps: batches of the network that ships.
        empty_share: how often a window without a cell is drawn, relative to the shares of the sets.
        spread: how far windows are varied.
    """

    data: Path | None
    work: Path
    sets: tuple[SegmenterSet, ...] = DEFAULT_SETS
    folds: int = 5
    seed: int = 0
    fold_steps: int = 900
    steps: int = 1800
    empty_share: float = 0.13
    spread: Spread = field(default_factory=Spread)

    def __post_init__(self) -> None:
        names = Counter(name_source(chosen.data) for chosen in self.sets)
        if not self.sets:
            raise UsageError("the segmenter needs a set to learn from")
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise UsageError(f"two of the segmenter's sets are called {twice[0]}; give one another name")

    @property
    def shares(self) -> dict[str, float]:
        """By the name of each set in results, how often its cells are drawn."""
        return {name_source(chosen.data): chosen.share for chosen in self.sets}


@dataclass(frozen=True)
class TrainedSegmenter:
    """Networks ready for use.

    Attributes:
        network: fitted on all folds.
        fold_networks: by fold, fitted without it.
    """

    network: SegmentationNetwork
    fold_networks: dict[int, SegmentationNetwork]


def train_segmenter(config: SegmenterConfig) -> TrainedSegmenter:
    """Fit all networks, or take those that an earlier run with the same data and settings has fitted.

    Raises:
        UsageError: a set has not been fetched.
        DataError: a set is missing, not laid out as expected, or has no outlined cell.
        MissingExtraError: the training extra is not installed.
    """
    windows = load_windows(config.data, config.folds, config.seed, config.sets)
    whole = _get_network(windows, np.ones(len(windows.fold), bool), config, config.steps)
    return TrainedSegmenter(whole, fit_folds(config, windows))


def fit_folds(config: SegmenterConfig, windows: Windows | None = None) -> dict[int, SegmentationNetwork]:
    """Return by fold the network that was fitted without it.

    Args:
        config: see there.
        windows: of the config's sets; None reads them.

    Raises:
        UsageError, DataError, MissingExtraError: as :func:`train_segmenter` does.
    """
    if windows is None:
        windows = load_windows(config.data, config.folds, config.seed, config.sets)
    return {
        fold: _get_network(windows, windows.fold != fold, config, config.fold_steps)
        for fold in range(config.folds)
    }


def export_segmenter(trained: TrainedSegmenter, folder: Path) -> float:
    """Write the ONNX file and return the largest difference of a probability between torch and OpenVINO.

    Raises:
        BundleError: they differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    path = folder / SEGMENTATION
    generator = torch.Generator().manual_seed(0)
    shape = (2, WINDOW_PX, WINDOW_PX, 3)
    pixels = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    whole = Probabilities(trained.network).eval()
    model = export_onnx(whole, {"pixels": pixels}, ("probabilities",))
    return store_onnx(model, path, whole, {"pixels": pixels}, MAX_EXPORT_DIFFERENCE)


def hash_fit(windows: Windows, settings: FitConfig) -> str:
    """Return a hash of all that changes a fitted network, 16 hexadecimal digits.

    That is the windows with their sources, the settings, the network before it is fitted (its parts, the
    encoder's weights and the decoder's first ones) and the version of torch. The number of threads is left
    out: it changes the order of sums, so the last digits of a weight.
    """
    net = make_network(settings.seed)
    weights = {name: hash_bytes(value.numpy().tobytes()) for name, value in net.state_dict().items()}
    arrays = (windows.pixels, windows.masks, windows.points, windows.nucleus_known)
    content = {
        "torch": torch.__version__,
        "settings": asdict(settings),
        "network": str(net),
        "weights": weights,
        "windows": [hash_bytes(array.tobytes()) for array in arrays],
        "sources": windows.source.tolist(),
    }
    return hash_text(json.dumps(content, sort_keys=True))[:16]


def _get_network(
    windows: Windows, chosen: NDArray[np.bool_], config: SegmenterConfig, steps: int
) -> SegmentationNetwork:
    """Return the network of the chosen windows: fitted now, or by an earlier run."""
    settings = FitConfig(
        shares=config.shares,
        empty_share=config.empty_share,
        spread=config.spread,
        steps=steps,
        seed=config.seed,
    )
    part = windows.take(np.flatnonzero(chosen))
    path = config.work / f"segmenter-{hash_fit(part, settings)}.pt"
    if path.exists():
        net = make_network(settings.seed)
        net.load_state_dict(torch.load(path, weights_only=True))
        net.eval()
        return net
    log.info("fitting %s", path.name)
    net = fit_network(part, settings)
    with whole_file(path) as partial:
        torch.save(net.state_dict(), partial)
    return net
