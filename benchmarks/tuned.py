"""The constants that ``constants.py`` varies: where each stands, and what was seen when it was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Constant:
    """A constant of a module, or a field of its ``THRESHOLDS``.

    Attributes:
        module: under ``erythron``.
        name: of the constant.
        note: which figures were seen when it was chosen, and why it stands where they do not say so.
        tried: a lower and a higher value; None for 0.8 and 1.25 times, or one less and one more where it is a
            whole number up to ten.
        off: a value at which what the constant limits is not done at all; None where there is none.
        step: of the search for red cells, the first that it changes.
    """

    module: str
    name: str
    note: str = ""
    tried: tuple[Any, Any] | None = None
    off: Any = None
    step: str | None = None

    def list_tried(self, value: Any) -> list[Any]:
        """Return the values to try beside the one that is shipped: lower, higher, and off."""
        if self.tried is not None:
            tried = self.tried
        elif isinstance(value, int):
            tried = (value - 1, value + 1) if value <= 10 else (round(0.8 * value), round(1.25 * value))
        else:
            tried = (0.8 * value, 1.25 * value)
        return [*tried] if self.off is None else [*tried, self.off]

    def show(self, value: Any) -> str:
        """Return a value in words."""
        if isinstance(value, np.ndarray):
            return f"{len(value)} from {value[0]:g} by {value[1] / value[0]:.3g}"
        return f"{value:.3g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Part:
    """Constants that serve the same figures.

    Attributes:
        title: of the table.
        constants: in the order of the table.
        least: from the name of a figure to the least change that counts.
        sign: from the name of a figure to 1 where more is better, -1 where less is.
    """

    title: str
    constants: list[Constant] = field(default_factory=list)
    least: Callable[[str], float] = lambda _: 0.002
    sign: Callable[[str], int] = lambda _: 1


INF = float("inf")
PARTS = {
    "nucleus": Part(
        "Nuclei",
        [
            Constant("segment.nucleus_edge", "BAND_UM", off=0.0),
            Constant("segment.nucleus_edge", "CLEAR_BAND_UM", off=0.0),
            Constant("segment.nucleus_edge", "CLEAR_SEPARATION", off=INF),
            Constant("segment.nucleus_edge", "LEAST_AGREEMENT", off=0.0),
            Constant("segment.nucleus_edge", "EDGE_SHARE", tried=(0.40, 0.50)),
            Constant("segment.nucleus_edge", "FEWEST_PX", off=1),
            Constant("segment.granules", "GRAIN_UM", off=1e-3),
            Constant("segment.granules", "RIM_UM", off=0.0),
            Constant("segment.granules", "FEWEST_PX", off=1),
            Constant("segment.granules", "PALE_SHARE", off=-1.0),
            Constant("segment.granules", "LEAST_SEPARATION", off=INF),
            Constant("segment.granules", "LEAST_SEPARATION_OF_THREE", off=INF),
            Constant("segment.granules", "LEAST_REDDER", off=-INF),
            Constant("segment.granules", "LEAST_INSIDE", off=-1.0),
            Constant("segment.granules", "LEAST_OUTSIDE", off=-1.0),
            Constant("segment.granules", "LEAST_SHED", off=-1.0),
            Constant("segment.granules", "LEAST_KEPT", off=0.0),
            Constant("segment.granules", "ROUNDS", tried=(5, 20)),
            Constant("segment.granules", "DARKEST", tried=(4, 16)),
            Constant("segment.assembly", "SMALLEST_LOBE", tried=(0.025, 0.1), off=0.0),
        ],
    ),
    "path": Part(
        "Whole path",
        [
            Constant("segment.windows", "SURE"),
            Constant("segment.windows", "POSSIBLE"),
            Constant("segment.stain", "MIN_LIGHT", tried=(0.01, 0.04)),
            Constant("segment.stain", "BLACK", tried=(0.03, 0.12), off=-1.0),
            Constant("segment.stain", "MIN_CONTRAST", off=-1.0),
        ],
    ),
    "scale": Part(
        "Scale",
        [
            Constant("segment.red_cells", "SMOOTHING_PX", step="_read_smear"),
            Constant("segment.red_cells", "NUCLEAR", step="_read_smear"),
            Constant("segment.red_cells", "MIN_CONTRAST", step="_read_smear", off=-1.0),
            Constant("segment.stain", "HISTOGRAM_BINS", step="_read_smear", tried=(64, 256)),
            Constant("segment.red_cells", "RIM_CONTRAST", step="_find_rims"),
            Constant("segment.red_cells", "MIN_RIMS", off=1),
            Constant(
                "segment.red_cells",
                "RADII_PX",
                step="_vote",
                tried=(7.0 * 1.06 ** np.arange(43), 7.0 * 1.18 ** np.arange(16)),
            ),
            Constant("segment.red_cells", "CELLS_A_RADIUS", step="_vote"),
            Constant("segment.red_cells", "MIN_VOTES", step="_vote"),
            Constant("segment.red_cells", "RIM_WIDTH", step="_fit"),
            Constant("segment.red_cells", "FIRST_FIT", step="_fit", off=1.0),
            Constant("segment.red_cells", "INWARD", step="_fit", tried=(0.7, 0.95), off=-1.0),
            Constant("segment.red_cells", "MOST_MOVED", step="_fit", off=1e3),
            Constant("segment.red_cells", "MIN_RADIUS_PX", step="_fit", off=0.0),
            Constant("segment.red_cells", "SECTORS", step="_choose"),
            Constant("segment.red_cells", "MIN_DENSITY", step="_choose", off=0.0),
            Constant("segment.red_cells", "MIN_RIM", step="_choose"),
            Constant("segment.red_cells", "MIN_PURITY", step="_choose", off=0.0),
            Constant("segment.red_cells", "INNER", step="_choose"),
            Constant("segment.red_cells", "MAX_NUCLEAR", step="_choose", off=1.0),
            Constant("segment.red_cells", "MAX_RED_TO_GREEN", step="_choose", off=INF),
            Constant("segment.scale", "RED_CELL_SPREAD"),
            Constant("segment.scale", "MIN_RED_CELLS", tried=(4, 6), off=1),
            Constant("segment.scale", "SIZE_BAND", tried=(1.2, 1.4), off=INF),
            Constant("segment.scale", "MIN_DARK_SHARE", off=0.0),
            Constant("segment.scale", "WORKED_PX", step="_read_smear"),
        ],
        lambda name: 0.01 if name == "error" else 0.02,
        lambda name: -1 if name in ("error", "wrongly with one") else 1,
    ),
    "areas": Part(
        "Areas that cannot be read",
        [
            Constant("quality.areas", "square_um"),
            Constant("quality.areas", "fallback_mpp"),
            Constant("quality.areas", "_WINDOW", tried=(3, 7)),
            Constant("quality.areas", "fine_um"),
            Constant("quality.areas", "least_sharpness"),
            Constant("quality.areas", "least_relative_sharpness", off=INF),
            Constant("quality.areas", "least_detail", off=1e-6),
            Constant("quality.areas", "least_light"),
            Constant("quality.areas", "most_glass", off=1.0),
            Constant("quality.areas", "glass_light"),
            Constant("quality.areas", "least_area", off=0.0),
        ],
        lambda _: 0.01,
        lambda name: -1 if name.startswith("wrongly") else 1,
    ),
    "flags": Part(
        "Fields that are flagged",
        [
            Constant("quality.flags", name)
            for name in ("most_unclassified", "most_left_out", "stain_distance", "most_unlike")
        ],
        lambda _: 0.01,
    ),
}
