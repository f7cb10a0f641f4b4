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
        sign: from the name of a figure to 1 where more is better, -1 where less is, 0 where neither.
        is_own: whether each constant has figures of its own.
    """

    title: str
    constants: list[Constant] = field(default_factory=list)
    least: Callable[[str], float] = lambda _: 0.002
    sign: Callable[[str], int] = lambda _: 1
    is_own: bool = False


EDGE = "segment.nucleus_edge"
GRANULES = "segment.granules"
ASSEMBLY = "segment.assembly"
WINDOWS = "segment.windows"
STAIN = "segment.stain"
RED = "segment.red_cells"
SCALE = "segment.scale"
DISCS = "segment.red_discs"
AREAS = "quality.areas"
FLAGS = "quality.flags"

CHOSEN = "seen: `marrow`, `bccd`"
UNRECORDED = "not recorded; seen: the sets of `benchmarks/red_cell_scale.py`"
FOREIGN = "seen: the sets of `benchmarks/scale.py`, set amid a gap between what is and what is none"
ONE_FIELD = "seen: the marrow field, sharp and in part blurred"

INF = float("inf")
PARTS = {
    "nucleus": Part(
        "Nuclei",
        [
            Constant(EDGE, "BAND_UM", "seen: `marrow`, `bccd`, out of fold", off=0.0),
            Constant(
                EDGE,
                "CLEAR_BAND_UM",
                "seen: `marrow`, `bccd`, `segmentation_WBC`; without it the last loses 0.002",
                off=0.0,
            ),
            Constant(EDGE, "CLEAR_SEPARATION", "seen: as for `CLEAR_BAND_UM`", off=INF),
            Constant(EDGE, "LEAST_AGREEMENT", "not recorded; at 1 the stain is never followed", off=0.0),
            Constant(
                EDGE,
                "EDGE_SHARE",
                "seen: `marrow`, half of `bccd`, whose hands draw wider than the others'",
                tried=(0.40, 0.50),
            ),
            Constant(EDGE, "FEWEST_PX", "no figure; a mean of fewer pixels says little", off=1),
            Constant(GRANULES, "GRAIN_UM", CHOSEN, off=1e-3),
            Constant(GRANULES, "RIM_UM", "not recorded", off=0.0),
            Constant(GRANULES, "FEWEST_PX", "no figure; a mean of fewer pixels says little", off=1),
            Constant(GRANULES, "PALE_SHARE", "seen: `marrow`, `bccd`; decides on few cells", off=-1.0),
            Constant(
                GRANULES,
                "LEAST_SEPARATION",
                "seen: `marrow`, `bccd`; lower, chromatin is taken for granules",
                off=INF,
            ),
            Constant(
                GRANULES,
                "LEAST_SEPARATION_OF_THREE",
                "no nucleus of `marrow`, `bccd` may lose chromatin; seen: all three",
                off=INF,
            ),
            Constant(GRANULES, "LEAST_REDDER", "seen: `segmentation_WBC`; decides on few cells", off=-INF),
            Constant(GRANULES, "LEAST_INSIDE", "seen: `segmentation_WBC`; decides on few cells", off=-1.0),
            Constant(GRANULES, "LEAST_OUTSIDE", "seen: `segmentation_WBC`; decides on few cells", off=-1.0),
            Constant(
                GRANULES, "LEAST_SHED", "seen: `marrow`, `bccd`; smaller parts are left to the edge", off=-1.0
            ),
            Constant(
                GRANULES,
                "LEAST_KEPT",
                "seen: `marrow`, `bccd`; keeps a nucleus from being replaced by what is not it",
                off=0.0,
            ),
            Constant(GRANULES, "ROUNDS", "no figure; the tones settle sooner", tried=(5, 20)),
            Constant(GRANULES, "DARKEST", "no figure; keeps noise of the dark small", tried=(4, 16)),
            Constant(ASSEMBLY, "SMALLEST_LOBE", "not recorded", tried=(0.025, 0.1), off=1e-6),
        ],
    ),
    "path": Part(
        "Whole path",
        [
            Constant(WINDOWS, "SURE", "not recorded; the bundle's least score was set with it"),
            Constant(WINDOWS, "POSSIBLE", "not recorded; the bundle's least score was set with it"),
            Constant(
                STAIN, "MIN_LIGHT", "no figure; keeps a ratio of two dark pixels finite", tried=(0.01, 0.04)
            ),
            Constant(
                STAIN,
                "BLACK",
                "no figure; keeps the black around a round field from being nucleus",
                tried=(0.03, 0.12),
                off=-1.0,
            ),
            Constant(STAIN, "MIN_CONTRAST", "no figure; refuses blank images, none are here", off=-1.0),
        ],
    ),
    "scale": Part(
        "Scale",
        [
            Constant(RED, "SMOOTHING_PX", UNRECORDED, step="_read_smear"),
            Constant(
                RED,
                "NUCLEAR",
                "not recorded; higher, four more fields have a scale, lower, six fewer",
                step="_read_smear",
            ),
            Constant(
                RED,
                "MIN_CONTRAST",
                "no figure; refuses blank images, none are here",
                step="_read_smear",
                off=-1.0,
            ),
            Constant(
                STAIN,
                "HISTOGRAM_BINS",
                "no figure; finer than any threshold needs",
                step="_read_smear",
                tried=(64, 256),
            ),
            Constant(RED, "RIM_CONTRAST", UNRECORDED, step="_find_rims"),
            Constant(
                RED,
                "RADII_PX",
                "time; a finer step takes twice as long, for two more fields",
                step="_vote",
                tried=(7.0 * 1.06 ** np.arange(43), 7.0 * 1.18 ** np.arange(16)),
            ),
            Constant(RED, "CELLS_A_RADIUS", UNRECORDED, step="_vote"),
            Constant(RED, "MIN_VOTES", UNRECORDED, step="_vote"),
            Constant(RED, "RIM_WIDTH", UNRECORDED, step="_fit"),
            Constant(RED, "FIRST_FIT", UNRECORDED, step="_fit", off=1.0),
            Constant(RED, "INWARD", UNRECORDED, step="_fit", tried=(0.7, 0.95), off=-1.0),
            Constant(
                RED,
                "MIN_RADIUS_PX",
                "smaller circles are too few pixels; it refuses `blood-phone`",
                step="_fit",
                off=0.0,
            ),
            Constant(RED, "SECTORS", UNRECORDED, step="_choose"),
            Constant(RED, "MIN_DENSITY", "texture fills sectors sparsely", step="_choose", off=0.0),
            Constant(RED, "MIN_RIM", UNRECORDED, step="_choose"),
            Constant(
                RED,
                "MIN_PURITY",
                "not recorded; texture points elsewhere than a rim",
                step="_choose",
                off=0.0,
            ),
            Constant(RED, "INNER", UNRECORDED, step="_choose"),
            Constant(
                RED,
                "MAX_NUCLEAR",
                "nucleated cells with red cytoplasm are no red cells; it costs six fields",
                step="_choose",
                off=1.0,
            ),
            Constant(
                RED, "MAX_RED_TO_GREEN", "discs of other colours are no red cells", step="_choose", off=INF
            ),
            Constant(
                SCALE, "RED_CELL_SPREAD", "measured by `benchmarks/red_cell_scale.py` within one microscope"
            ),
            Constant(
                SCALE,
                "MIN_RED_CELLS",
                "one cell alone gives a fifth of the crops a wrong scale",
                tried=(4, 6),
                off=1,
            ),
            Constant(SCALE, "SIZE_BAND", "not recorded; without it errors grow", tried=(1.2, 1.4), off=INF),
            Constant(SCALE, "WORKED_PX", "time: about 0.2 s a field", step="_read_smear"),
            Constant(RED, "NUCLEAR_LOOSE", FOREIGN, step="_read_smear"),
            Constant(SCALE, "SURE_RED_CELLS", FOREIGN, off=5),
            Constant(SCALE, "LEAST_COVERED", FOREIGN, off=0.0),
            Constant(SCALE, "MANY_RED_CELLS", FOREIGN),
            Constant(SCALE, "MIN_DISCS", FOREIGN, off=10_000),
            Constant(DISCS, "SMOOTHING_PX", FOREIGN),
            Constant(DISCS, "LEAST_ELLIPTIC", FOREIGN, tried=(0.9, 0.97), off=0.0),
            Constant(DISCS, "LEAST_AXES", FOREIGN, off=0.0),
            Constant(DISCS, "MOST_ABSORBANCE", FOREIGN, off=INF),
            Constant(DISCS, "ONE_SIZE", FOREIGN, tried=(1.25, 1.5)),
            Constant(DISCS, "MOST_SPREAD", FOREIGN, off=INF),
            Constant(DISCS, "LEAST_SHARE", FOREIGN, off=0.0),
        ],
        lambda name: 0.01 if name == "error" else 0.04,
        lambda name: -1 if name in ("error", "wrongly with one") else 1,
    ),
    "areas": Part(
        "Areas that cannot be read",
        [
            Constant(AREAS, "square_um", "about a cell wide"),
            Constant(AREAS, "fallback_mpp", "usual for a 40x objective"),
            Constant(AREAS, "_WINDOW", "not recorded", tried=(3, 7)),
            Constant(AREAS, "fine_um", ONE_FIELD),
            Constant(AREAS, "least_sharpness", ONE_FIELD),
            Constant(AREAS, "least_relative_sharpness", ONE_FIELD, off=INF),
            Constant(AREAS, "least_detail", ONE_FIELD, off=1e-6),
            Constant(AREAS, "least_light", ONE_FIELD),
            Constant(AREAS, "most_glass", ONE_FIELD, off=1.0),
            Constant(AREAS, "glass_light", ONE_FIELD),
            Constant(AREAS, "least_area", ONE_FIELD, off=0.0),
        ],
        lambda _: 0.01,
        lambda name: -1 if name.startswith("sharp") else 1,
    ),
    "flags": Part(
        "Fields that are flagged",
        [
            Constant(FLAGS, name, "a convention; no figure was seen")
            for name in ("most_unclassified", "most_left_out", "stain_distance", "most_unlike")
        ],
        lambda _: 0.01,
        lambda _: 0,
        is_own=True,
    ),
}
