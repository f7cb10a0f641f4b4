"""Options that the commands which name cells share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.differential.me_ratio import MERatio


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that names cells.

    Attributes:
        model: bundle folder, or None for the shipped one.
        mpp: microns per pixel of all images, or None to take them from the files.
        force: do everything again and replace what is there.
        reference: file of reference ranges, or None for the shipped ones; of a count only.
        width: of a stage's interval that "count more" aims at, 0 to 1; of a count only.
        runtime: what computes the networks.
        me_ratio: which cells the numerator of M:E counts; of a count only.
    """

    model: Path | None = None
    mpp: float | None = None
    force: bool = False
    reference: Path | None = None
    width: float = 0.05
    runtime: RuntimeKind = RuntimeKind.OPENVINO
    me_ratio: MERatio = MERatio.ICSH
