"""Which image files a command is to work on, and the relative name under which each one's results go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from erythron.errors import UsageError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Suffixes looked for in folders, compared without case. A file given by name may have any."""


@dataclass(frozen=True)
class InputImage:
    """One image to work on.

    Attributes:
        path: where it is; not yet known to be there or to be an image.
        relative: its name alone where it was given by name, else its path relative to the folder given.
    """

    path: Path
    relative: Path

    @property
    def name(self) -> str:
        """The path as given."""
        return str(self.path)


def find_images(paths: Iterable[str | Path]) -> list[InputImage]:
    """Expand folders into the image files they hold and keep every other path as it is.

    Folders are searched to any depth, in sorted order; names that start with a dot are skipped, folders too.
    A path that is not there is kept: reading it says so without stopping the others. Two inputs may come out
    with one relative name; whoever writes by it must refuse that.

    Raises:
        UsageError: a folder holds no file with one of ``IMAGE_SUFFIXES``.
    """
    images: list[InputImage] = []
    for path in map(Path, paths):
        if not path.is_dir():
            images.append(InputImage(path, Path(path.name)))
            continue
        found = sorted(_walk(path))
        if not found:
            raise UsageError(
                f"{path}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}); "
                "name another folder, or name files of other suffixes one by one"
            )
        images += [InputImage(p, p.relative_to(path)) for p in found]
    return images


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link to a folder above would be walked for ever.
            if not entry.is_symlink():
                yield from _walk(entry)
        elif entry.suffix.lower() in IMAGE_SUFFIXES:
            yield entry
