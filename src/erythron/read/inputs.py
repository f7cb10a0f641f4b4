"""Which image files a command is to work on, and the relative name under which each one's results go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from erythron.errors import UsageError
from erythron.files.naming import as_text
from erythron.read.companions import find_companions

IMAGE_SUFFIXES = (
    ".bif", ".bmp", ".dcm", ".jpeg", ".jpg", ".mrxs", ".ndpi", ".png", ".scn", ".svs", ".svslide", ".tif",
    ".tiff", ".vms", ".vmu", ".webp",
)  # fmt: skip
"""Suffixes looked for in folders, compared without case. A file given by name may have any."""

OWN_PICTURE = "erythron-fingerprint"
"""Key of the text in a PNG that erythron made, and what the description of such a TIFF begins with: such a
picture is never an input."""

_FIELD_RECORD = "record.json"
"""What lies in a folder of results of one image; pictures in it are made from that image."""

_OTHER_PICTURES = (
    ".avif", ".czi", ".gif", ".heic", ".heif", ".jp2", ".lif", ".nd2", ".psd", ".vsi",
)  # fmt: skip
"""Suffixes of pictures that are not read: in a folder they are named, not passed over in silence."""

_THUMBNAILS = frozenset({"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found"})
"""Folders of network drives, archives and bins that hold small or deleted copies of pictures."""

_MASK_ENDINGS = ("_mask", "-mask", ".mask", "_masks", "_overlay")
"""How names of pictures end that were made from another picture."""

RESERVED = frozenset({"cells.csv", "extract.json", "report.html", "report.pdf", "run.json", "summary.csv"})
"""Files of a run, beside which the folders of its images lie."""

_HEAD = 512
"""Bytes of a PNG in which Pillow writes its texts, before any pixel."""

_TAIL = 1 << 16
"""Bytes at the end of a compressed TIFF in which Pillow writes its tags, after all pixels."""


@dataclass(frozen=True)
class InputImage:
    """One image to work on.

    Attributes:
        path: where it is; not yet known to be there or to be an image.
        relative: its name alone where it was given by name, else its path relative to the folder given.
        mpp: microns per pixel of this image alone, before those of the run; None where the run's hold.
        title: what a reader is shown in place of the path, which says nothing where a program sent the image;
            empty where the path is shown.
        folder: where its results go, relative to those of the run, if that is not by its name without suffix;
            None where it is.
    """

    path: Path
    relative: Path
    mpp: float | None = None
    title: str = ""
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The path as given, as text."""
        return as_text(self.path)

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, so that something will be written of it."""
        return self.path.exists()

    @property
    def place(self) -> Path:
        """Where its results go, relative to those of the run: ``relative`` without its suffix.

        A name of which that would leave nothing, such as ``..png``, or which a file of the run has, such as
        ``run.json.png``, keeps its suffix. So does one that another image of the run has but for the suffix,
        which :mod:`erythron.pipeline.places` finds.
        """
        if self.folder is not None:
            return self.folder
        stem = self.relative.stem
        if not stem.strip(". ") or stem.casefold() in RESERVED:
            return self.relative
        return self.relative.with_suffix("")


@dataclass(frozen=True)
class FoundImages:
    """What the paths of a command line stand for.

    Attributes:
        images: to work on.
        left_out: pictures and folders that are passed over, each with the reason.
    """

    images: list[InputImage]
    left_out: list[tuple[Path, str]]


def find_images(paths: Iterable[str | Path]) -> list[InputImage]:
    """Return the images of :func:`search_images` alone."""
    return search_images(paths).images


def search_images(paths: Iterable[str | Path], out: Path | None = None) -> FoundImages:
    """Expand folders into the image files they hold and keep every other path as it is.

    Folders are searched to any depth, in sorted order, folders that are linked to after all others and each
    once. Names that start with a dot are skipped. Left out, and said, are ``out``, what erythron or another
    program made from an image (results, overlays, masks, thumbnails), kinds of pictures that are not read,
    and a file that is given again, by another spelling of its path too.
    A path that is not there, or a folder that may not be read, is kept: reading it says so without stopping
    the others. Two inputs may come out with one relative name; whoever writes by it must refuse that.

    Args:
        paths: files and folders.
        out: where results go.

    Raises:
        UsageError: a folder holds no image.
    """
    images: list[InputImage] = []
    left_out: list[tuple[Path, str]] = []
    given = [Path(path) for path in paths]
    parts = find_companions(given)
    for path in given:
        if path in parts:
            left_out.append((path, f"is a part of the slide {parts[path].name}"))
            continue
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder above may not be read
            images.append(InputImage(path, Path(path.name)))
            continue
        search = _Search(path, out)
        found = sorted(search.walk())
        left_out += search.left_out
        if not found:
            reason = f"the folder holds no image ({', '.join(IMAGE_SUFFIXES)})"
            if search.left_out:
                first, why = search.left_out[0]
                reason += f" that is an input: {first} {why}"
            raise UsageError(
                f"{path}: {reason}; name another folder, or name files of other suffixes one by one"
            )
        images += [InputImage(p, p.relative_to(path)) for p in found]
    named: dict[str, InputImage] = {}
    for image in images:
        same = named.setdefault(os.path.abspath(image.path), image)  # noqa: PTH100 - Path.resolve follows links
        if same is not image:
            left_out.append((image.path, f"is given twice, before as {same.path}"))
    return FoundImages(list(named.values()), left_out)


class _Search:
    """Walks through one folder, each folder in it once."""

    def __init__(self, top: Path, out: Path | None) -> None:
        self.left_out: list[tuple[Path, str]] = []
        self._top = top
        self._out = None if out is None else os.path.realpath(out)
        self._seen: set[str] = set()
        self._links: list[Path] = []

    def walk(self) -> Iterator[Path]:
        """Yield the images, and folders that may not be read."""
        yield from self._walk(self._top)
        # A folder that is there itself is better known by its own name than by that of a link to it.
        while self._links:
            yield from self._walk(self._links.pop(0))

    def _walk(self, folder: Path) -> Iterator[Path]:
        real = os.path.realpath(folder)
        if real in self._seen:
            return
        self._seen.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            yield folder
            return
        names = {entry.name for entry in entries}
        if _FIELD_RECORD in names:
            self.left_out.append((folder, "holds results of erythron"))
            return
        parts = find_companions(entries)
        for entry in entries:
            if entry.name.startswith(".") or entry in parts:
                continue
            if os.path.isdir(entry):  # noqa: PTH112
                yield from self._enter(entry, names)
            elif entry.suffix.lower() in IMAGE_SUFFIXES:
                reason = _find_derived(entry)
                if reason is None:
                    yield entry
                else:
                    self.left_out.append((entry, reason))
            elif entry.suffix.lower() in _OTHER_PICTURES:
                self.left_out.append((entry, "is of a kind that is not read"))

    def _enter(self, folder: Path, beside: set[str]) -> Iterator[Path]:
        # The folder that was given may be the one of the results: then what is in it is looked at alone.
        if self._out is not None and os.path.realpath(folder) == self._out:
            self.left_out.append((folder, "is where the results go"))
        elif folder.name.casefold() in _THUMBNAILS:
            self.left_out.append((folder, "holds thumbnails or deleted files"))
        elif folder.name == "masks" and "crops" in beside:
            self.left_out.append((folder, "holds masks of the crops beside it"))
        elif folder.is_symlink():
            self._links.append(folder)
        else:
            yield from self._walk(folder)


def _find_derived(path: Path) -> str | None:
    """Return why a picture was made from another picture; None where nothing says so."""
    if path.stem.casefold().endswith(_MASK_ENDINGS):
        return "is a mask or overlay by its name; give it by name to have it taken as an image"
    suffix = path.suffix.lower()
    if suffix in {".png", ".tif", ".tiff"} and path.is_file():
        try:
            with path.open("rb") as file:
                if suffix != ".png":
                    file.seek(max(0, path.stat().st_size - _TAIL))
                if OWN_PICTURE.encode() in file.read(_HEAD if suffix == ".png" else _TAIL):
                    return "was made by erythron"
        except OSError:
            return None  # reading it will say why
    return None
