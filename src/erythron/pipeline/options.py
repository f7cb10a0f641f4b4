"""Options that the commands which name cells share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.differential.me_ratio import MERatio
from erythron.quality.flags import TARGET_CELLS

TILE_PX = 2048
"""Side of a tile of a slide, about: a few seconds of work on a crowded smear, and 15 MB of pixels."""


@dataclass(frozen=True)
class SlideOptions:
    """Where on a slide is counted; of images that are fields it says nothing.

    Attributes:
        cells: nucleated cells after which the count ends, in the best areas first; the ICSH asks for 500.
        whole: count the whole slide but its empty glass.
        region: GeoJSON file of polygons to count inside; None for none.
        seed: of whatever is sampled.
        tile_px: side of a tile, the unit of work and of what an interrupted run keeps; it changes no result.
    """

    cells: int = TARGET_CELLS
    whole: bool = False
    region: Path | None = None
    seed: int = 0
    tile_px: int = TILE_PX

    @property
    def is_sampled(self) -> bool:
        """Whether areas are counted until there are cells enough."""
        return not self.whole and self.region is None


@dataclass(frozen=True)
class Signing:
    """Who signs the result of a specimen with a count.

    Attributes:
        specimen: its key, see :attr:`erythron.pipeline.specimens.Specimen.key`.
        version: of the result, 1 for the first.
        reader: the person's name.
        at: when, with a time zone.
    """

    specimen: str
    version: int
    reader: str
    at: datetime


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
        slides: where on slides is counted; of a count only.
        threads: of the CPU that each network takes in a process; None for all. It changes no result.
        signing: what the report is to say of a signature; None where nobody signs with this count.
    """

    model: Path | None = None
    mpp: float | None = None
    force: bool = False
    reference: Path | None = None
    width: float = 0.05
    runtime: RuntimeKind = RuntimeKind.OPENVINO
    me_ratio: MERatio = MERatio.ICSH
    slides: SlideOptions = SlideOptions()
    threads: int | None = None
    signing: Signing | None = None
