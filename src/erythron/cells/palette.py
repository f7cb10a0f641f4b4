"""The one colour of each cell class, for overlay, charts, page and exports.

The erythroid stages are steps of one ramp, dark to light with maturation, so they stay in order for every
eye; the other classes have muted hues. Chosen to stay apart under simulated colour-vision deficiency.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32


class Colour(NamedTuple):
    """An sRGB colour, each part 0 to 255."""

    red: int
    green: int
    blue: int

    @property
    def hex(self) -> str:
        """The colour as HTML writes it, such as ``#7f1d1d``."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


UNCLASSIFIED_COLOUR = Colour(28, 32, 38)
"""Colour of the cells that were called with less than the stated confidence."""

_CLASS_COLOURS = {
    "proerythroblast": Colour(110, 16, 30),
    "basophilic_erythroblast": Colour(192, 45, 28),
    "polychromatic_erythroblast": Colour(238, 123, 32),
    "orthochromatic_erythroblast": Colour(252, 200, 70),
    "granulocyte": Colour(32, 104, 178),
    "lymphocyte": Colour(22, 142, 122),
    "monocyte": Colour(116, 190, 222),
    "plasma_cell": Colour(186, 116, 172),
    "other": Colour(74, 82, 96),
    "platelet": Colour(166, 170, 178),
}

_SPARE_COLOURS = (
    Colour(86, 60, 140),
    Colour(150, 110, 200),
    Colour(60, 120, 70),
    Colour(140, 170, 90),
    Colour(90, 140, 160),
    Colour(170, 120, 130),
)


def colour_of(class_name: str) -> Colour:
    """Return the colour of a class.

    Args:
        class_name: canonical name; a name outside the default classes gets one of a few spare colours, always
            the same one.

    >>> colour_of("granulocyte").hex
    '#2068b2'
    """
    if class_name in _CLASS_COLOURS:
        return _CLASS_COLOURS[class_name]
    return _SPARE_COLOURS[crc32(class_name.encode()) % len(_SPARE_COLOURS)]
