"""A drawn field and its truth, as the ``draw-field`` command writes them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from erythron.errors import UsageError
from erythron.files.tables import write_csv
from erythron.files.writing import whole_file
from erythron.shape.mask import render_mask
from erythron.synthetic.field import DrawnFieldSpec, draw_field, write_drawn_tiff

_TIFF = {".tif", ".tiff"}


def write_drawn_field(out: Path, spec: DrawnFieldSpec, *, force: bool = False) -> tuple[Path, ...]:
    """Draw a field and write it with its truth.

    Args:
        out: a ``.png`` for a field held in memory, a ``.tif`` for a tiled pyramid of any size.
        spec: size, seed and mix of the field.
        force: replace files that are there.

    Returns:
        Every file written: the image, ``NAME.cells.csv`` and, for a PNG, ``NAME.mask.png``.

    Raises:
        UsageError: another suffix, or a file is there already.
    """
    suffix = out.suffix.lower()
    if suffix != ".png" and suffix not in _TIFF:
        raise UsageError(f"{out}: a drawn field is written as .png or .tif; change the suffix")
    truth, mask = out.with_suffix(".cells.csv"), out.with_suffix(".mask.png")
    files = (out, truth) if suffix in _TIFF else (out, truth, mask)
    for path in files:
        if path.exists() and not force:
            raise UsageError(f"{path} is there already; add --force to replace it or choose another name")
    if suffix in _TIFF:
        with whole_file(out) as partial:
            cells = write_drawn_tiff(partial, spec)
    else:
        field = draw_field(spec)
        cells = field.cells
        with whole_file(mask) as partial:
            Image.fromarray(render_mask(field.outlines, *field.rgb.shape[:2])).save(partial, format="PNG")
        with whole_file(out) as partial:
            Image.fromarray(field.rgb).save(partial, format="PNG")
    write_csv(cells, truth)
    return files
