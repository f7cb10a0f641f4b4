"""The networks of a bundle, loading in a thread of their own while other work goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.runtime import OpenVinoRuntime, Runtime


@dataclass(frozen=True)
class Runtimes:
    """The loaded networks of a bundle.

    Attributes:
        segmentation: outlines the cell at a point.
        classifier: names cells.
    """

    segmentation: Runtime
    classifier: Runtime


@dataclass(frozen=True)
class LoadingBundle:
    """A bundle whose networks are on their way.

    Attributes:
        bundle: read and checked.
        runtimes: its networks; ``result`` raises BundleError where one cannot be loaded.
    """

    bundle: Bundle
    runtimes: Future[Runtimes]


def load_runtimes(bundle: Bundle) -> Runtimes:
    """Load the networks of a bundle into OpenVINO, on all cores.

    Raises:
        BundleError: a network cannot be loaded.
    """
    return Runtimes(OpenVinoRuntime(bundle.segmentation_path), OpenVinoRuntime(bundle.classifier_path))


def start_loading(model: Path | None) -> LoadingBundle:
    """Read a bundle and begin to load its networks, which OpenVINO does without holding up Python.

    Args:
        model: folder of a bundle; None is the one that ships.

    Raises:
        BundleError: it is no bundle.
    """
    bundle = load_bundle(model)
    with_one = ThreadPoolExecutor(max_workers=1)
    runtimes = with_one.submit(load_runtimes, bundle)
    with_one.shutdown(wait=False)
    return LoadingBundle(bundle, runtimes)
