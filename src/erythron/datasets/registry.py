"""The public sets that erythron knows: what each is, where it comes from and what its licence allows."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from erythron.cells.classes import ERYTHROID_STAGES
from erythron.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".npz")

_STAGES = frozenset(stage.name for stage in ERYTHROID_STAGES)


class RegisteredSet(BaseModel):
    """One entry of ``registry.toml``.

    Attributes:
        name: its name on the command line, and of its folder.
        about: what it is, one line.
        page: where people find it.
        url: what is downloaded; None where the source offers no plain download.
        file: name of the downloaded file.
        checksum: ``algorithm:hex`` as the source publishes it, else None.
        keep: the folder inside the archive that is kept; None keeps all.
        part_of: the set that reads this one beside it; such an entry has no reader of its own.
        cells: number of cells as published, None where none is.
        download_bytes: size of the download as published; None where nobody states it.
        adds: types of cells, by their canonical names, that a classifier can learn from it.
        origin: the laboratory where several sets come from one, so that they are held out together.
        subset_of: the set that holds the same cells and more, or larger.
        for_training: whether it joins a training on all sets; a handful of cells to look at does not.
        licence: as the source states it.
        trains_shipped_weights: whether that licence allows training weights that are shipped.
        citation: how to cite it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    page: HttpUrl
    url: HttpUrl | None = None
    file: str | None = Field(default=None, pattern=r"^[\w.-]+\.(zip|npz)$")
    checksum: str | None = Field(default=None, pattern=r"^(md5|sha256):[0-9a-f]{32,64}$")
    keep: str | None = None
    part_of: str | None = None
    cells: int | None = None
    download_bytes: int | None = Field(default=None, gt=0)
    adds: tuple[str, ...] = ()
    origin: str | None = None
    subset_of: str | None = None
    for_training: bool = True
    licence: str
    trains_shipped_weights: bool
    citation: str

    @property
    def has_stages(self) -> bool:
        """Whether all four erythroid stages are told apart in it."""
        return _STAGES.issubset(self.adds)

    def say_adds(self) -> str:
        """Return in words which types of cells it adds."""
        stages = ["the four erythroid stages"] if self.has_stages else []
        names = [name for name in self.adds if not stages or name not in _STAGES]
        return ", ".join(name.replace("_", " ") for name in (*stages, *names))


@cache
def load_registry() -> dict[str, RegisteredSet]:
    """Return every registered set by name, in the file's order."""
    entries = tomllib.loads(files("erythron.datasets").joinpath("registry.toml").read_text(encoding="utf-8"))
    return {name: RegisteredSet(name=name, **entry) for name, entry in entries.items()}


def find_registered(name: str) -> RegisteredSet:
    """Return a registered set.

    Raises:
        DataError: no set has this name; the message lists the names.
    """
    try:
        return load_registry()[name]
    except KeyError:
        raise DataError(f"'{name}' is no known set; known are {', '.join(load_registry())}") from None


def find_origin(name: str) -> str:
    """Return the laboratory of a set where several sets come from it, else the set's own name."""
    registered = load_registry().get(name)
    return name if registered is None or registered.origin is None else registered.origin


def cache_folder() -> Path:
    """Return where fetched sets are kept: ``ERYTHRON_CACHE_DIR``, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("ERYTHRON_CACHE_DIR") or pooch.os_cache("erythron")) / "data"


def locate_set(name: str) -> Path | None:
    """Return the folder of a set: in ``ERYTHRON_DATA_DIR``, else as fetched; None where it is in neither.

    A folder that holds nothing but archives is not a set yet: fetching unpacks it.
    """
    shared = shared_folder(name)
    if shared is not None and any(
        p.is_file() and p.suffix not in ARCHIVE_SUFFIXES for p in shared.rglob("*")
    ):
        return shared
    fetched = cache_folder() / name
    return fetched if fetched.is_dir() else None


def shared_folder(name: str) -> Path | None:
    """Return the folder of that name in ``ERYTHRON_DATA_DIR``, None where there is none."""
    root = os.environ.get("ERYTHRON_DATA_DIR")
    folder = Path(root) / name if root else None
    return folder if folder is not None and folder.is_dir() else None
