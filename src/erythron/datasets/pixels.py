"""The pixels of a manifest's image, also where its file holds a mask as a fourth channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from erythron.errors import ImageReadError
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage


def read_labelled_image(path: Path, mpp: float | None, mask_kind: str | None) -> SmearImage:
    """Read the image of a manifest's row.

    A file whose mask is its fourth channel states CMYK and is no print: its first three channels are red,
    green and blue as they stand, and no ink conversion may touch them.

    Args:
        path: image file.
        mpp: microns per pixel, or None where the manifest states none.
        mask_kind: of the manifest's row.

    Raises:
        ImageReadError: the image cannot be read, or has no fourth channel.
    """
    if mask_kind != "fourth_channel":
        return read_image(path, mpp)
    try:
        with Image.open(path) as image:
            channels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageReadError(f"{path}: cannot be decoded ({error}); fetch the set again") from error
    if channels.ndim != 3 or channels.shape[2] != 4:
        raise ImageReadError(f"{path}: has no fourth channel; make its manifest again")
    source = ScaleSource.UNKNOWN if mpp is None else ScaleSource.OPTION
    return SmearImage(str(path), np.ascontiguousarray(channels[..., :3]), mpp, source)
