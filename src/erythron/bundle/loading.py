"""The networks of a bundle, loading in a thread of their own while other work goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from erythron.bundle.folder import CARD, Bundle, load_bundle
from erythron.bundle.runtime import OnnxRuntime, OpenVinoRuntime, Runtime, Sizes
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.bundle.schema import MaskInput, ModelCard
from erythron.errors import BundleError

MOST_KEPT = 4
"""Networks that stay loaded, some 100 MB each: those of two bundles."""


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
    """A bundle whose networks load in a thread of their own from when they are first asked for.

    Attributes:
        bundle: read and checked.
        kind: of the runtime.
        threads: of the CPU that each network takes; None for all.
    """

    bundle: Bundle
    kind: RuntimeKind = RuntimeKind.OPENVINO
    threads: int | None = None

    @cached_property
    def runtimes(self) -> Future[Runtimes]:
        """The networks; ``result`` raises BundleError where one cannot be loaded."""
        with_one = ThreadPoolExecutor(max_workers=1)
        found = with_one.submit(load_runtimes, self.bundle, self.kind, self.threads)
        with_one.shutdown(wait=False)
        return found


def open_runtime(
    path: Path, kind: RuntimeKind = RuntimeKind.OPENVINO, threads: int | None = None
) -> OpenVinoRuntime | OnnxRuntime:
    """Load one network, on all cores or on the best device that the runtime drives, or take the one loaded.

    A process that counts again and again, a server or a notebook, loads its networks once.

    Args:
        path: the ONNX file.
        kind: of the runtime.
        threads: of the CPU that it takes; None for all.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: the network cannot be loaded.
    """
    try:
        found = path.stat()
    except OSError:
        return _load(path, kind, threads)
    # An unpacked file may have the time of its archive, and networks of one kind have one size.
    state = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    return _load_once(path.resolve(), (kind, threads), state)


@lru_cache(maxsize=MOST_KEPT)
def _load_once(
    path: Path, how: tuple[RuntimeKind, int | None], _state: tuple[int, ...]
) -> OpenVinoRuntime | OnnxRuntime:
    """Return a network of a file that is as it was."""
    return _load(path, *how)


def _load(path: Path, kind: RuntimeKind, threads: int | None) -> OpenVinoRuntime | OnnxRuntime:
    if kind is RuntimeKind.ONNXRUNTIME:
        return OnnxRuntime(path, threads)
    return OpenVinoRuntime(path, threads)


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


def load_runtimes(
    bundle: Bundle, kind: RuntimeKind = RuntimeKind.OPENVINO, threads: int | None = None
) -> Runtimes:
    """Load the networks of a bundle.

    Args:
        bundle: the bundle.
        kind: of the runtime.
        threads: of the CPU that each takes; None for all.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: a network cannot be loaded.
    """
    classifier = open_runtime(bundle.classifier_path, kind, threads)
    _check_sizes(bundle.classifier_path, classifier.sizes, list_classifier_sizes(bundle.card))
    return Runtimes(load_segmentation(bundle, kind, threads), classifier)


def load_segmentation(
    bundle: Bundle, kind: RuntimeKind = RuntimeKind.OPENVINO, threads: int | None = None
) -> Runtime:
    """Load the segmentation network of a bundle.

    Raises:
        MissingExtraError: the runtime is not installed.
        BundleError: it cannot be loaded, or takes other sizes than ``model.json`` states.
    """
    runtime = open_runtime(bundle.segmentation_path, kind, threads)
    side = bundle.card.segmenter.window_px
    wanted = {"pixels": (side, side, 3), "probabilities": (2, side, side)}
    _check_sizes(bundle.segmentation_path, runtime.sizes, wanted)
    return runtime


def list_classifier_sizes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a classifier must have by its card, without the batch."""
    side = card.framing.input_px
    sizes: dict[str, tuple[int, ...]] = {"pixels": (3, side, side), "logits": (len(card.classes),)}
    if card.mask_input is not MaskInput.NONE:
        planes = 2 if card.mask_input is MaskInput.NUCLEUS_CELL else 1
        sizes["masks"] = (planes, side, side)
    if card.takes_measurements:
        sizes["measurements"] = (len(card.measurements),)
    return sizes


def _check_sizes(path: Path, found: Sizes, wanted: Sizes) -> None:
    for name, sizes in wanted.items():
        if name not in found:
            raise BundleError(f"{path}: the network has no {name}, as {CARD} states; export the bundle again")
        fits = len(found[name]) == len(sizes) and all(
            has in (-1, size) for has, size in zip(found[name], sizes, strict=True)
        )
        if not fits:
            raise BundleError(
                f"{path}: {name} of the network are of size {found[name]} and by {CARD} of {sizes}; "
                "export the bundle again"
            )


def start_loading(
    model: Path | None, kind: RuntimeKind = RuntimeKind.OPENVINO, threads: int | None = None
) -> LoadingBundle:
    """Read a bundle and begin to load its networks, which OpenVINO does without holding up Python.

    Args:
        model: folder of a bundle; None is the one that ships.
        kind: of the runtime.
        threads: of the CPU that each network takes; None for all.

    Raises:
        BundleError: it is no bundle.
    """
    loading = LoadingBundle(load_bundle(model), kind, threads)
    _ = loading.runtimes  # asked for, they load
    return loading
