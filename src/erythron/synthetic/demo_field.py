"""The field that the demonstration counts: a real one where it can be had, else a drawn one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REAL_FIELD = Path("marrow-field") / "marrow-field-left.png"
"""Where the real field lies in a folder of public sets."""

REAL_FIELD_URL = (
    "https://raw.githubusercontent.com/ziauldin123/hemelabel/446e9b16ccff5757019deca04b3da350226e5fef/"
    "labeller/static/labeller/images/20211118235952.jpg"
)
"""The whole field at a fixed commit (MIT licence)."""


@dataclass(frozen=True)
class DemoField:
    """A field to show counting on.

    Attributes:
        path: image file.
        origin: one sentence that says what it is, for the reader of the result.
        real: False for a drawn field.
    """

    path: Path
    origin: str
    real: bool


def find_demo_field(cache: Path) -> DemoField:
    """Return the first of: the field in ``ERYTHRON_DATA_DIR``, a download, a drawn field.

    Args:
        cache: folder that a downloaded or drawn field is kept in.
    """
    folder = os.environ.get("ERYTHRON_DATA_DIR")
    if folder and (Path(folder) / REAL_FIELD).is_file():
        path = Path(folder) / REAL_FIELD
        return DemoField(path, f"real bone-marrow field from ERYTHRON_DATA_DIR: {path}", real=True)
    downloaded = _download(cache)
    if downloaded is not None:
        return DemoField(downloaded, f"real bone-marrow field, downloaded from {REAL_FIELD_URL}", real=True)
    return DemoField(
        _draw(cache), "drawn field: no real one could be had, so the result means nothing", real=False
    )


def _download(cache: Path) -> Path | None:
    """Fetch the real field, or return None where the network or the source does not answer."""
    import pooch
    import requests

    try:
        return Path(
            pooch.retrieve(
                REAL_FIELD_URL,
                known_hash=None,  # the commit in the address fixes the content
                fname="marrow-field.jpg",
                path=cache,
                downloader=pooch.HTTPDownloader(timeout=10),
            )
        )
    except (requests.RequestException, OSError):
        return None


def _draw(cache: Path) -> Path:
    from PIL import Image

    from erythron.files.writing import whole_file
    from erythron.synthetic.field import DrawnFieldSpec, draw_field

    path = cache / "drawn-field.png"
    with whole_file(path) as partial:
        Image.fromarray(draw_field(DrawnFieldSpec(1024, 1024)).rgb).save(partial, format="PNG")
    return path
