"""Whether an image shows stained cells on a bright ground at all: a grey or inverted one shows no stage.

The limits were chosen on 234 fields and crops of eleven public sets: the least coloured has a chroma of 44,
and none is mostly dark, greenish where it is bright and without magenta where it is dark. The inverses of
168 of them are.
"""

from __future__ import annotations

import numpy as np

from erythron.errors import ImageReadError
from erythron.read.image import SmearImage

_LEAST_CHROMA = 8.0
"""Levels between highest and lowest channel, at the 99th percentile; JPEG adds some to a grey image."""

_LEAST_CONTRAST = 30.0
"""Levels of brightness between the 1st and the 99th percentile: an empty field has no colour either."""

_GREENISH = 20.0
"""Green over the mean of red and blue in the brightest tenth, which the complement of a nucleus has."""

_NO_MAGENTA = -15.0
"""The same in the darkest tenth: in nuclei and cytoplasm green is the lowest channel."""

_BLACK = 12
"""Level under which all channels lie in the rim of an eyepiece, which is no part of the smear."""

_SAMPLE_PX = 16_000
_FEWEST_PX = 100


def check_stained(image: SmearImage) -> None:
    """Refuse an image in which cells cannot be told by their stain.

    Raises:
        ImageReadError: it is grey, or bright on dark: inverted or of fluorescence.
    """
    step = max(1, int(np.sqrt(image.frame.area_px / _SAMPLE_PX)))
    sample = image.shown[::step, ::step].reshape(-1, 3).astype(np.float32)
    high, low = sample.max(axis=1), sample.min(axis=1)
    brightness = sample.mean(axis=1)
    first, last = np.percentile(brightness, [1, 99])
    if last - first > _LEAST_CONTRAST and np.percentile(high - low, 99) < _LEAST_CHROMA:
        raise ImageReadError(
            f"{image.name}: the picture is grey, and stages are told by the colours of the stain; "
            "give the colour image"
        )
    inside = high >= _BLACK
    if np.count_nonzero(inside) < _FEWEST_PX:
        return
    sample, brightness = sample[inside], brightness[inside]
    greenish = sample[:, 1] - (sample[:, 0] + sample[:, 2]) / 2
    tenth, ninth = np.percentile(brightness, [10, 90])
    bright, dark = greenish[brightness >= ninth].mean(), greenish[brightness <= tenth].mean()
    is_dark = np.median(brightness) < (first + last) / 2
    if is_dark and bright > _GREENISH and dark > _NO_MAGENTA:
        raise ImageReadError(
            f"{image.name}: cells are bright on a dark ground: the picture is inverted or of fluorescence; "
            "give the stained smear as the camera saw it"
        )
