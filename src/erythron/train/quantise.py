"""An ONNX network in 8-bit integers, where that says nearly the same in less time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from erythron.errors import BundleError
from erythron.models.runtime import OpenVinoRuntime
from erythron.train.onnx_file import strip_traces

CHUNK = 8


class _Examples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, examples: NDArray[np.generic]) -> None:
        self._parts: Iterator[dict[str, NDArray[np.generic]]] = iter(
            {name: examples[i : i + CHUNK]} for i in range(0, len(examples), CHUNK)
        )

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        return next(self._parts, None)


def quantise(
    path: Path, examples: NDArray[np.generic], others: NDArray[np.generic], most_difference: float
) -> float:
    """Replace a network of one input and one output by its 8-bit form, and return what that changes.

    Weights are kept to seven bits, for processors without VNNI instructions add up products of eight-bit
    numbers in sixteen bits, which eight would overflow.

    Args:
        path: the ONNX file, in float32; replaced.
        examples: (N, ...), inputs whose activations set the ranges.
        others: (M, ...), inputs to compare on.
        most_difference: mean absolute difference of the outputs that is allowed.

    Raises:
        BundleError: the difference is larger; the file is left as it was.
    """
    plain = OpenVinoRuntime(path)
    [name] = [value.name for value in onnx.load(path).graph.input]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(made),
            _Examples(name, examples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        onnx.save(strip_traces(onnx.load(made)), made)
        quantised = OpenVinoRuntime(made)
        pairs = zip(plain.run({name: others}).values(), quantised.run({name: others}).values(), strict=True)
        difference = max(float(np.abs(a - b).mean()) for a, b in pairs)
        if not difference <= most_difference:
            raise BundleError(
                f"{path}: in 8-bit integers its outputs differ by {difference:.2g} in the mean, more than "
                f"{most_difference:g}; train longer, or give more examples"
            )
        made.replace(path)
    logging.getLogger(__name__).info("%s in 8-bit integers differs by %.2g", path.name, difference)
    return difference
