"""Slides in TIFF files that are laid out as TIFF means it: Aperio, OME-TIFF, BigTIFF, plain huge TIFF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from erythron.files.reading import open_regular
from erythron.read.colour import make_profile_change
from erythron.read.damage import naming_damage
from erythron.read.fields import explain_refusal
from erythron.read.pyramid import Level, Opened, PyramidSlide, SlideFacts
from erythron.read.tiff import find_tiff_mpp
from erythron.read.tiff_levels import SampleKind, TiffLevel, find_levels, find_sample_kind, read_level
from erythron.read.tiff_segments import SegmentReader

_ICC_PROFILE = 34675


@dataclass(frozen=True)
class TiffHandle:
    """An open TIFF.

    Attributes:
        reader: of its tiles and strips.
        levels: full resolution first.
        kind: what its samples mean.
    """

    reader: SegmentReader
    levels: tuple[TiffLevel, ...]
    kind: SampleKind


class TiffSlide(PyramidSlide[TiffHandle]):
    """A huge TIFF, read by the tiles or strips that a region touches; see :class:`PyramidSlide`."""

    def _open_file(self, path: Path) -> Opened[TiffHandle]:
        try:
            file = open_regular(path)
        except OSError as error:
            raise explain_refusal(path, error) from None
        with naming_damage(path):
            tiff = tifffile.TiffFile(file, name=path.name)
            reader = SegmentReader(file)
            levels, note = find_levels(tiff, reader)
            kind = find_sample_kind(tiff, levels, reader)
            base = levels[0].pages[0]
            width, height = levels[0].size
            facts = SlideFacts(
                tuple(Level(w, h, (width / w + height / h) / 2) for w, h in (v.size for v in levels)),
                find_tiff_mpp(tiff, base),
                find_magnification(base.description or tiff.pages[0].aspage().description),
                note,
            )
            profile = base.tags.valueof(_ICC_PROFILE)
        to_srgb = make_profile_change(profile if isinstance(profile, bytes) else None)
        return Opened(TiffHandle(reader, levels, kind), facts, to_srgb)

    def _read_level(
        self, handle: TiffHandle, number: int, box: tuple[int, int, int, int]
    ) -> NDArray[np.uint8]:
        with naming_damage(self._path):
            return read_level(handle.reader, handle.levels[number], handle.kind, box)


def find_magnification(description: str) -> float | None:
    """Return the power of the objective that a TIFF's ImageDescription states, of Aperio or OME-XML.

    >>> find_magnification("Aperio Image Library v12|AppMag = 40|MPP = 0.2501")
    40.0
    """
    found = re.search(
        r'\b(?:AppMag\s*=\s*|NominalMagnification\s*=\s*["\'])(\d{1,3}(?:\.\d{1,6})?)', description
    )
    power = float(found[1]) if found else 0.0
    return power or None
