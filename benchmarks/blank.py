"""Which pictures of the data have borders of one exact colour that show no image.

    python benchmarks/blank.py

Reads every picture of ``ERYTHRON_DATA_DIR`` that a count would take from its folders, but for masks, and
prints of each set how many there are, how many are flagged (``area_without_image``), and the largest share of
those that are not. Those that are flagged are named: masks that were saved with soft edges, 28 of
``bccd-masks`` and 10 of ``bcisc``, and none of the 6,482 pictures of smears and sections.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from erythron.errors import ErythronError
from erythron.quality.flags import THRESHOLDS
from erythron.read.fields import read_image
from erythron.read.inputs import search_images

_MOST_OF_A_MASK = 64
"""Colours that a mask has at most; a smear has thousands."""


def main() -> None:
    """Print the table."""
    root = Path(os.environ["ERYTHRON_DATA_DIR"])
    shares: defaultdict[str, list[float]] = defaultdict(list)
    flagged: list[str] = []
    for image in search_images([root]).images:
        try:
            picture = read_image(image.path)
        except ErythronError:
            continue
        colours = picture.rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        if len(np.unique(colours)) <= _MOST_OF_A_MASK:
            continue
        blank = 1 - picture.frame.area_px / (picture.width_px * picture.height_px)
        name = image.path.relative_to(root)
        shares[name.parts[0]].append(blank)
        if blank > THRESHOLDS.most_blank:
            flagged.append(f"{name}: {blank:.3f}")
    print("| set | pictures | flagged | largest share of the others |\n|---|---|---|---|")
    for name, found in sorted(shares.items()):
        under = [share for share in found if share <= THRESHOLDS.most_blank]
        largest = f"{max(under):.4f}" if under else ""
        print(f"| {name} | {len(found)} | {len(found) - len(under)} | {largest} |")
    print("\n".join(["", *flagged]))


if __name__ == "__main__":
    main()
