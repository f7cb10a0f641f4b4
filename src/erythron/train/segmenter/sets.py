"""Sets that the segmentation network learns from, and what must be known of a set beyond its manifest.

Any set whose manifest names masks can join: a registered one, a manifest, or a folder that
``erythron import`` wrote. What a public set leaves unsaid stands in :data:`TRAITS` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from erythron.segment.scale import RED_CELL_UM
from erythron.train.folded_sets import BLOOD_SET, MARROW_SET, name_set


@dataclass(frozen=True)
class SegmenterSet:
    """One set in the recipe of the segmentation network.

    Attributes:
        data: a registered name, or path of a manifest or a folder.
        share: how often its cells come into a batch, relative to the shares of the others.
    """

    data: str
    share: float


@dataclass(frozen=True)
class SetTraits:
    """What the manifest of a set does not say of it.

    Attributes:
        name: what results call it; empty for the name of the set itself.
        crop_width_um: what the shorter side of a crop shows where neither manifest nor file states a scale.
            Training varies every window's scale by a factor of 1.5 up and down (``Spread.log_scale``).
        field_mpp: microns per pixel of a field, likewise.
        one_cell: whether a mask shows one cell, however many parts it has; else each connected part is a
            cell. A field's parts are always cells.
        opened_px: radius in pixels of an opening that takes fringes and threads off the cells of a mask.
        empty_points: how many places of each image that are surely no nucleated cell make windows without
            one. Neighbours in a crop are cells and not in its mask, so there such a place has no nuclear
            stain; in a field every nucleated cell is taken to be in the mask, and such a place is the
            middle of a box of a red cell or a platelet.
        lone_labels: source labels of which cells without a mask are outlined by their stain, where they
            touch nothing.
        lone_images: how many such images, chosen by the seed, are looked at.
    """

    name: str = ""
    crop_width_um: float = 32.0
    field_mpp: float = 0.25
    one_cell: bool = True
    opened_px: int = 0
    empty_points: int = 1
    lone_labels: tuple[str, ...] = ()
    lone_images: int = 0


TRAITS = {
    # 32 um is what counting takes a crop of unknown scale to show (``Framing.crop_width_um``); no crop holds
    # enough red cells to measure. Three empty places of each of the 80 crops, one of each of the 234 of
    # ``bcisc`` and three of each of the fields of ``bccd`` come near to each other in number.
    MARROW_SET: SetTraits(name="marrow", empty_points=3),
    # By hand, and what the shipped network was fitted with: red cells in the crops say 33 um (56 of 256
    # pixels, ``benchmarks/red_cell_scale.py``), and training varies the scale by more than that.
    # The masks of the 234 crops hold 239 cells.
    "bcisc": SetTraits(name="bcisc", crop_width_um=28.0, one_cell=False),
    # The boxes of red cells are 105 px wide and 101 px high in the median; 104 px are taken for a diameter.
    # Some masks are lossy JPEG: opened by two pixels they lose threads and two of 311 parts, which were dirt.
    "bccd": SetTraits(name="bccd", field_mpp=RED_CELL_UM / 104.0, opened_px=2, empty_points=3),
    # Red cells say 36 um (``benchmarks/red_cell_scale.py``: 73.5 of 360 pixels). In these two kinds of cell
    # the stain parts nucleus and cytoplasm; the chromatin of the others is not that surely told. Two of three
    # of the 600 looked at are alone; how many there are changes no other set's part in a batch.
    BLOOD_SET: SetTraits(
        name="pbc", crop_width_um=36.0, lone_labels=("eosinophil", "neutrophil"), lone_images=600
    ),
}
"""By registered name, which is also what the folder of a set of one's own may be called."""

DEFAULT_SETS = (
    SegmenterSet(MARROW_SET, 0.45),
    SegmenterSet("bcisc", 0.15),
    SegmenterSet("bccd", 0.13),
    SegmenterSet(BLOOD_SET, 0.14),
)
"""Sets of the shipped network. Marrow is what it is for and has the fewest cells, so it comes most
often. By hand; ``benchmarks/fold_dice.py --share SET=SHARE`` measures other values."""


def find_traits(name: str) -> SetTraits:
    """Return what is known of a set beyond its manifest, with its name filled in."""
    return TRAITS.get(name, SetTraits(name=name))


def name_source(data: str) -> str:
    """Return what windows and results call a set of the recipe."""
    return find_traits(name_set(data)).name
