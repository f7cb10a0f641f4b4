"""How the network is used, which training imitates: scale, window and what counts as a cell."""

from __future__ import annotations

from erythron.bundle.schema import SegmenterCard

WINDOW_PX = 96
WINDOW_MPP = 0.36
"""Side and scale of what the network sees: 35 um, room for a proerythroblast and what touches it."""

FIELD_WINDOW_MPP = 0.30
FIELD_LEAST_STAIN = 0.30
"""Scale and least stain in a field, where nuclei touch.

``benchmarks/fields.py`` judges them in each marrow field by what is best for the others. At 0.27 um touching
nuclei are told apart as well, but of 53 white cells of blood fields five fall into two, at 0.30 one.
"""

CARD = SegmenterCard(
    stain_mpp=0.5,
    stain_blur_um=1.2,
    least_stain=0.25,
    window_px=WINDOW_PX,
    window_mpp=WINDOW_MPP,
    field_window_mpp=FIELD_WINDOW_MPP,
    field_least_stain=FIELD_LEAST_STAIN,
    recentre_um=1.0,
    least_score=0.4,
    least_nucleus_um2=8.0,
    most_overlap=0.4,
    central_spread=0.5,
    assumed_shares=(0.7, 0.85, 1.0, 1.2),
    assumed_kept=2,
)
