"""Which program computes the networks; a module of its own, as the command line reads it at every start."""

from __future__ import annotations

from enum import StrEnum


class RuntimeKind(StrEnum):
    """Program that computes the networks of a bundle."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
