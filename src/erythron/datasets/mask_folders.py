"""Masks that lie beside their images, in folders or names of their own: they are no cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from erythron.errors import DataError

_MASK_WORD = re.compile(r"(?i)(?<![a-z])(?:convex[ _-]?hulls?|hulls?|masks?|segmentations?)(?![a-z])")
_IMAGE_WORD = re.compile(r"(?i)^(?:images?|imgs?|raw|rgb)$")
_EDGES = " _-."

_LOOKED_AT = 32
"""Masks of a set that are opened to see which grey levels it uses."""

_LEAST_SHARE = 0.02
"""Share of a mask's cell from which a grey level is drawn on purpose and not the blur of a border."""


@dataclass(frozen=True)
class PairedImages:
    """The images of a folder without those that are masks.

    Attributes:
        images: sorted.
        mask_of: the mask of every image that has one.
        kind: of all masks, one of ``manifest.MASK_KINDS``; None where there are none.
    """

    images: tuple[Path, ...]
    mask_of: dict[Path, Path]
    kind: str | None


def pair_masks(folder: Path, paths: Sequence[Path]) -> PairedImages:
    """Tell masks from images, and find the image of each.

    A mask is a file with the word ``mask``, ``hull`` or ``segmentation`` in its name or in that of a folder
    above it. Its image has the same path without these words, and without folders called ``images``; the
    endings may differ, or the mask of ``a.jpg`` is ``a.jpg.png``.

    Raises:
        DataError: two masks are of one image, no mask is of an image that is there, or a mask cannot be read.
    """
    masks = [p for p in paths if _MASK_WORD.search(str(p.relative_to(folder)))]
    is_mask = set(masks)
    images = tuple(p for p in paths if p not in is_mask)
    # A folder above all of them that has the word says nothing.
    if not masks or not images:
        return PairedImages(tuple(paths), {}, None)
    by_key: dict[tuple[str, ...], Path] = {}
    for mask in masks:
        key = _find_key(folder, mask)
        if key in by_key:
            raise DataError(f"{mask}: is a mask of the same image as {by_key[key]}; remove one")
        by_key[key] = mask
    found = {
        p: by_key.get(_find_key(folder, p, whole=True)) or by_key.get(_find_key(folder, p)) for p in images
    }
    mask_of = {image: mask for image, mask in found.items() if mask is not None}
    if not mask_of:
        raise DataError(
            f"{folder}: none of its {len(masks)} masks, such as {masks[0].name}, has the name of an image; "
            "give each the name and folders of its image, with 'masks' where the images have 'images'"
        )
    return PairedImages(images, mask_of, _find_kind(sorted(set(mask_of.values()))))


def _find_key(folder: Path, path: Path, *, whole: bool = False) -> tuple[str, ...]:
    """Return what a mask and its image have in common; the whole name of an image where it is asked for."""
    relative = path.relative_to(folder)
    parts = [*relative.parts[:-1], relative.name if whole else relative.stem]
    bare = [_MASK_WORD.sub("", part).strip(_EDGES).casefold() for part in parts]
    return tuple(part for part in bare if part and not _IMAGE_WORD.match(part))


def _find_kind(masks: Sequence[Path]) -> str:
    """Return how to read the masks: with a nucleus where a grey level between black and white is drawn."""
    chosen = [masks[i] for i in np.unique(np.linspace(0, len(masks) - 1, _LOOKED_AT).astype(int))]
    middle = []
    brightest = 0
    for path in chosen:
        try:
            with Image.open(path) as image:
                grey = np.asarray(image.convert("L"))
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(
                f"{path}: the mask cannot be read ({error}); remove it or fetch the set again"
            ) from error
        brightest = max(brightest, int(grey.max()))
        drawn = grey[(grey > 100) & (grey < 180)]
        if len(drawn) > _LEAST_SHARE * np.count_nonzero(grey > 100):
            middle.append(float(np.median(drawn)))
    if brightest <= 127:
        return "cell_above_0"
    if not middle:
        return "cell"
    return "nucleus_255_cell_155" if np.median(middle) > 141 else "nucleus_255_cell_128"
