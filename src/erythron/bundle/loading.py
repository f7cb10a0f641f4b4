"""The networks of a bundle, loading in a thread of their own while other work goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.runtime import OnnxRuntime, OpenVinoRuntime, Runtime
from erythron.bundle.runtime_kind import RuntimeKind


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


def open_runtime(path: Path, kind: RuntimeKind = RuntimeKind.OPENVINO) -> Runtime:
    """Load one network, on all cores or on the best device that the runtime drives.

    Args:
        path: the ONNX file.
        kind: of the runtime.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: the network cannot be loaded.
    """
    return OnnxRuntime(path) if kind is RuntimeKind.ONNXRUNTIME else OpenVinoRuntime(path)


@cache
def describe_device(kind: RuntimeKind) -> str:
    """Return where a runtime computes on this machine, such as ``ONNX Runtime, CUDA``.

    A device may be installed and not start, so ONNX Runtime is asked with a network that it has loaded.

    Raises:
        MissingExtraError: the runtime is not installed.
    """
    if kind is RuntimeKind.OPENVINO:
        return "OpenVINO, CPU"
    provider = OnnxRuntime(load_bundle().segmentation_path).provider
    return f"ONNX Runtime, {provider.removesuffix('ExecutionProvider')}"


def load_runtimes(bundle: Bundle, kind: RuntimeKind = RuntimeKind.OPENVINO) -> Runtimes:
    """Load the networks of a bundle.

    Args:
        bundle: the bundle.
        kind: of the runtime.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: a network cannot be loaded.
    """
    return Runtimes(open_runtime(bundle.segmentation_path, kind), open_runtime(bundle.classifier_path, kind))


def start_loading(model: Path | None, kind: RuntimeKind = RuntimeKind.OPENVINO) -> LoadingBundle:
    """Read a bundle and begin to load its networks, which OpenVINO does without holding up Python.

    Args:
        model: folder of a bundle; None is the one that ships.
        kind: of the runtime.

    Raises:
        BundleError: it is no bundle.
    """
    bundle = load_bundle(model)
    with_one = ThreadPoolExecutor(max_workers=1)
    runtimes = with_one.submit(load_runtimes, bundle, kind)
    with_one.shutdown(wait=False)
    return LoadingBundle(bundle, runtimes)
