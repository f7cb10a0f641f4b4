"""Where the network runs: OpenVINO by default, ONNX Runtime as an extra, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.bounds import check_file, check_shapes
from erythron.bundle.folder import DEFAULT_BUNDLE
from erythron.errors import BundleError, MissingExtraError

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]


_CORE: list[openvino.Core] = []
_CORE_LOCK = Lock()


def openvino_core() -> openvino.Core:
    """Return the one core of OpenVINO of this process, which lives as long as the process.

    A core whose networks run on the CPU gives the thread that made it another stack for signals, and takes
    its memory back when it goes. Of two cores the second puts back the stack of the first, gone or not; the
    next signal with a handler of Python's, as for Ctrl-C or an ended child, then ends the process without a
    word.
    """
    import openvino

    with _CORE_LOCK:
        if not _CORE:
            _CORE.append(openvino.Core())
        return _CORE[0]


Sizes = Mapping[str, tuple[int, ...]]
"""Shapes of inputs and outputs by name, without the batch; -1 where any size fits."""


class Runtime(Protocol):
    """A loaded network with named inputs and outputs."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1."""


CHUNK = 8
"""Rows that one stream of OpenVINO works on at once: its working set stays in the caches of a core."""


class OpenVinoRuntime:
    """A network on the CPU through OpenVINO, one stream a core, each with its own part of a batch.

    Computes in float32 also where the processor offers bfloat16, so that a cell has the same probabilities on
    every machine.

    Args:
        path: the ONNX file.
        threads: CPU threads; None leaves the choice to OpenVINO, which takes all cores.
        cache: folder for compiled networks; None keeps none.

    Attributes:
        sizes: of the network's inputs and outputs.

    Raises:
        BundleError: OpenVINO refuses the file, or it would harm, see :mod:`erythron.bundle.bounds`.
    """

    def __init__(self, path: Path, threads: int | None = None, cache: Path | None = None) -> None:
        import openvino

        self._lock = Lock()
        self._ships = path.parent == DEFAULT_BUNDLE
        if not self._ships:
            check_file(path)
        settings: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        core = openvino_core()
        self._path, self._core = path, core
        self._compile = partial(core.compile_model, device_name="CPU", config=settings)
        try:
            model = core.read_model(str(path))
            self._takes_any = model.is_dynamic()
            self.sizes: Sizes = {
                port.any_name: tuple(
                    -1 if size.is_dynamic else size.get_length() for size in list(port.partial_shape)[1:]
                )
                for port in (*model.inputs, *model.outputs)
            }
            self._few: openvino.AsyncInferQueue | None = None
            # For a batch of one size OpenVINO plans once, for any size at the first batch of each.
            if self._takes_any:
                _set_batch(model, CHUNK)
            if not self._ships:
                check_shapes(path, model)
            self._queue = openvino.AsyncInferQueue(self._compile(model))
        except RuntimeError as error:
            raise BundleError(
                f"{path}: OpenVINO cannot load this network; export it again ({error})"
            ) from error
        self._outputs = [port.any_name for port in model.outputs]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1; threads that share it take turns."""
        with self._lock:
            return self._run(inputs)

    def _run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        import openvino

        count = len(next(iter(inputs.values())))
        queue = self._queue
        if self._takes_any and count < CHUNK:
            if self._few is None:
                self._few = openvino.AsyncInferQueue(self._compile_any())
            queue = self._few
        parts: dict[int, list[FloatArray]] = {}

        def keep(request: openvino.InferRequest, start: int) -> None:
            left = count - start
            parts[start] = [np.array(tensor.data[:left], np.float32) for tensor in request.output_tensors]

        queue.set_callback(keep)
        for start in range(0, count, CHUNK):
            part = {name: np.ascontiguousarray(v[start : start + CHUNK]) for name, v in inputs.items()}
            if start and self._takes_any:
                part = {name: _fill(rows) for name, rows in part.items()}
            queue.start_async(part, start)
        queue.wait_all()
        columns = zip(*(parts[start] for start in sorted(parts)), strict=True)
        return dict(zip(self._outputs, map(np.concatenate, columns), strict=True))

    def _compile_any(self) -> openvino.CompiledModel:
        """Compile the network for fewer cells than a chunk, each number of them within bounds."""
        if not self._ships:
            _check_batches(self._path, self._core.read_model(str(self._path)), CHUNK - 1)
        return self._compile(str(self._path))


def _check_network(path: Path) -> None:
    """Refuse a network that would harm, before a program sees it that does not tell the shapes of results."""
    check_file(path)
    try:
        model = openvino_core().read_model(str(path))
        _check_batches(path, model, CHUNK if model.is_dynamic() else 0)
    except RuntimeError as error:
        raise BundleError(f"{path}: OpenVINO cannot read this network; export it again ({error})") from error


def _check_batches(path: Path, model: openvino.Model, most: int) -> None:
    """Check the shapes of a network for each number of cells up to the most; 0 leaves its own number."""
    for count in range(1, most + 1):
        _set_batch(model, count)
        check_shapes(path, model)
    if not most:
        check_shapes(path, model)


def _set_batch(model: openvino.Model, count: int) -> None:
    """Plan a network for a number of cells."""
    model.reshape({port.any_name: [count, *list(port.partial_shape)[1:]] for port in model.inputs})


def _fill(rows: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return ``CHUNK`` rows, the last one repeated."""
    missing = CHUNK - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows


PREFERRED = tuple(f"{name}ExecutionProvider" for name in ("CUDA", "CoreML", "Dml", "CPU"))
"""Execution providers of ONNX Runtime that are used, the fastest first."""

_PROVIDER_OPTIONS: Mapping[str, dict[str, str]] = {
    # TF32 keeps 10 bits of a float32's 23: a cell would have other probabilities than on a CPU.
    "CUDAExecutionProvider": {"use_tf32": "0"},
}


class OnnxRuntime:
    """A network through ONNX Runtime, for devices that OpenVINO does not drive.

    Takes the first of :data:`PREFERRED` that is installed and starts.

    Args:
        path: the ONNX file.
        threads: CPU threads; None leaves the choice to ONNX Runtime, which takes all cores.

    Attributes:
        provider: the execution provider that computes.
        sizes: of the network's inputs and outputs.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        BundleError: ONNX Runtime refuses the file, or it would harm, see :mod:`erythron.bundle.bounds`.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        onnxruntime = import_onnxruntime()
        if path.parent != DEFAULT_BUNDLE:
            _check_network(path)
        settings = onnxruntime.SessionOptions()
        if threads is not None:
            settings.intra_op_num_threads = threads
        providers = [(name, _PROVIDER_OPTIONS.get(name, {})) for name in list_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
        # Its errors have no common base below Exception.
        except Exception as error:
            raise BundleError(
                f"{path}: ONNX Runtime cannot load this network; export it again ({error})"
            ) from error
        ports = (*self._session.get_inputs(), *self._session.get_outputs())
        self.sizes: Sizes = {
            port.name: tuple(size if isinstance(size, int) else -1 for size in port.shape[1:])
            for port in ports
        }
        self._outputs = [output.name for output in self._session.get_outputs()]
        # One that is installed but does not start, as CUDA without a driver, is left out by ONNX Runtime.
        self.provider: str = self._session.get_providers()[0]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1."""
        found = self._session.run(self._outputs, dict(inputs))
        return {n: np.asarray(v, dtype=np.float32) for n, v in zip(self._outputs, found, strict=True)}


def list_providers() -> tuple[str, ...]:
    """Return the execution providers of ONNX Runtime that are installed and used here, the fastest first.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    available = import_onnxruntime().get_available_providers()
    return tuple(name for name in PREFERRED if name in available)


def import_onnxruntime() -> ModuleType:
    """Return the module of ONNX Runtime.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "run networks in ONNX Runtime") from error
    module: ModuleType = onnxruntime
    return module
