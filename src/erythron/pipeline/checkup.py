"""What the ``doctor`` command finds out about an installation."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from erythron import __version__
from erythron.errors import ErythronError, MissingExtraError

_CORE = ("numpy", "scipy", "scikit-image", "pillow", "tifffile", "polars", "pydantic", "openvino")

_EXTRAS = (("train", ("torch", "timm", "onnx"), "train and compare models"),)


class State(StrEnum):
    """Outcome of one check."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: ``MISSING`` is for optional parts, ``BROKEN`` for what counting needs.
        detail: version, measurement or the next step.
    """

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class Checkup:
    """All checks of one installation."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether everything that counting needs is there and works."""
        return all(check.state is not State.BROKEN for check in self.checks)


def examine(model: Path | None = None) -> Checkup:
    """Check versions, the inference runtime, the bundle's self-test and the optional parts.

    Args:
        model: bundle folder, or None for the shipped one.
    """
    checks = [
        Check(
            "erythron", State.OK, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
        ),
        *(_version(name) for name in _CORE),
        _attempt("runtime", _describe_runtime),
        _describe_onnxruntime(),
        _attempt("model", lambda: _verify_model(model)),
        *(_extra(name, modules, purpose) for name, modules, purpose in _EXTRAS),
    ]
    return Checkup(tuple(checks))


def _version(distribution: str) -> Check:
    try:
        return Check(distribution, State.OK, importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return Check(distribution, State.BROKEN, "not installed; run: pip install --force-reinstall erythron")


def _attempt(name: str, describe: Callable[[], str]) -> Check:
    try:
        return Check(name, State.OK, describe())
    except (ErythronError, ImportError, RuntimeError) as error:
        return Check(name, State.BROKEN, str(error))


def _describe_runtime() -> str:
    from erythron.bundle.runtime import openvino_core

    core = openvino_core()
    devices = ", ".join(
        f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})" for name in core.available_devices
    )
    return f"OpenVINO on {devices}"


def _describe_onnxruntime() -> Check:
    from erythron.bundle.loading import describe_device
    from erythron.bundle.runtime import import_onnxruntime, list_providers
    from erythron.bundle.runtime_kind import RuntimeKind

    name = "extra 'onnxruntime'"
    try:
        version, providers = import_onnxruntime().__version__, list_providers()
        device = describe_device(RuntimeKind.ONNXRUNTIME)
    except MissingExtraError as error:
        return Check(name, State.MISSING, str(error))
    except ErythronError as error:
        return Check(name, State.BROKEN, str(error))
    return Check(name, State.OK, f"onnxruntime {version} with {', '.join(providers)}; networks in {device}")


def _verify_model(model: Path | None) -> str:
    from erythron.bundle.folder import load_bundle
    from erythron.classify.selftest import verify_bundle

    bundle = load_bundle(model)
    difference = verify_bundle(bundle)
    return f"{bundle.card.name} {bundle.card.version} at {bundle.path}, self-test off by {difference:.1e}"


def _extra(name: str, modules: tuple[str, ...], purpose: str) -> Check:
    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        return Check(
            f"extra '{name}'",
            State.MISSING,
            f"to {purpose}: {', '.join(absent)} not installed; run: pip install 'erythron[{name}]'",
        )
    versions = ", ".join(f"{module} {importlib.metadata.version(module)}" for module in modules)
    return Check(f"extra '{name}'", State.OK, f"to {purpose}: {versions}")
