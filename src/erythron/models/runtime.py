"""Where the network runs: OpenVINO by default, ONNX Runtime as an extra, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from erythron.errors import BundleError, MissingExtraError

FloatArray = NDArray[np.float32]


class Runtime(Protocol):
    """A loaded network with named inputs and outputs."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1."""


class OpenVinoRuntime:
    """A network on the CPU through OpenVINO.

    Computes in float32 also where the processor offers bfloat16, so that a cell has the same probabilities on
    every machine.

    Args:
        path: the ONNX file.
        threads: CPU threads; None leaves the choice to OpenVINO, which takes all cores.
        cache: folder for compiled networks; None keeps none.

    Raises:
        BundleError: OpenVINO refuses the file.
    """

    def __init__(self, path: Path, threads: int | None = None, cache: Path | None = None) -> None:
        import openvino

        settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        core = openvino.Core()
        if cache is not None:
            core.set_property({"CACHE_DIR": str(cache)})
        try:
            self._model = core.compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise BundleError(
                f"{path}: OpenVINO cannot load this network; export it again ({error})"
            ) from error

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1."""
        found = self._model(dict(inputs))
        return {port.any_name: np.array(found[port], dtype=np.float32) for port in self._model.outputs}


class OnnxRuntime:
    """A network through ONNX Runtime, for devices that OpenVINO does not drive.

    Args:
        path: the ONNX file.
        providers: ONNX Runtime's execution providers in order of preference.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        BundleError: ONNX Runtime refuses the file.
    """

    def __init__(self, path: Path, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "run a model in ONNX Runtime") from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        except Exception as error:
            raise BundleError(
                f"{path}: ONNX Runtime cannot load this network; export it again ({error})"
            ) from error

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
        """Return the outputs by name for a batch of any size from 1."""
        names = [output.name for output in self._session.get_outputs()]
        found = self._session.run(names, dict(inputs))
        return {n: np.asarray(v, dtype=np.float32) for n, v in zip(names, found, strict=True)}
