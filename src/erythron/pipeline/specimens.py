"""Which images belong to which specimen: by their folders, or by a table.

A specimen is what one report is of: the smears of one patient at one time, in one or many fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import polars as pl

from erythron.compare.alignment import align_paths
from erythron.errors import DataError, UsageError
from erythron.files.naming import as_text
from erythron.files.tables import read_csv
from erythron.read.inputs import RESERVED, InputImage

BY_FOLDER = "folder"
"""Instead of a table: each folder of images is a specimen."""

_MOST_NAMED = 10
"""Rows without a given picture are named up to so many, then counted."""

_NEXT_STEP = "give a CSV file with the columns image and specimen"


@dataclass(frozen=True)
class Specimen:
    """The images of one specimen.

    Attributes:
        name: as tables and the report state it; text, so that ``001`` stays that.
        images: its images; ``relative`` of each is its place below the specimen's folder.
        folder: where its results go, relative to the run's.
        details: what else is known of it, such as date or stain, by the name of the column.
    """

    name: str
    images: tuple[InputImage, ...]
    folder: Path
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What keeps it apart in the log of a review, whatever images join it.

        That is its name; a run without specimens is called after its images, so its only one has no key but
        the empty text.
        """
        return "" if self.folder == Path() else self.name


def name_run(images: Sequence[InputImage]) -> str:
    """Return how a run without specimens is called: by its one image, or its folder, or how many they are.

    Images that programs sent later, which have a title in place of a path, do not change the name.
    """
    images = [image for image in images if not image.title] or images
    if len(images) == 1:
        return images[0].path.stem
    folders = {image.path.parent for image in images}
    name = folders.pop().resolve().name if len(folders) == 1 else ""
    return name or f"{len(images)} images"


def group_images(inputs: Sequence[InputImage], by: str) -> tuple[Specimen, ...]:
    """Return the specimens of a run, in the order in which their images come.

    A row of a table whose picture is not there is an input of its specimen that fails. One whose picture is
    there and is none of the inputs is passed over, see :func:`list_not_given`; so is an image without a row,
    see :func:`find_not_listed`.

    Args:
        inputs: all images.
        by: ``folder``, or the path of a CSV file with the columns ``image`` and ``specimen``; further columns
            are details of the specimen.

    Raises:
        UsageError: two specimens have one name or folder.
        DataError: the table cannot be read, names an image twice, or has a row for none of the images.
    """
    return _group_by_folder(inputs) if by == BY_FOLDER else _group_by_table(inputs, Path(by))


def _group_by_folder(inputs: Sequence[InputImage]) -> tuple[Specimen, ...]:
    groups: dict[Path, list[InputImage]] = {}
    for image in inputs:
        groups.setdefault(image.path.parent, []).append(image)
    places = {folder: images[0].relative.parent for folder, images in groups.items()}
    names = {folder: as_text(place.as_posix()) for folder, place in places.items()}
    for folder, name in names.items():
        if name == ".":  # a folder that was named itself, or images named one by one
            places[folder] = Path(folder.resolve().name)
            names[folder] = as_text(places[folder])
    taken: dict[str, Path] = {}
    for folder, name in names.items():
        if name in taken:
            raise UsageError(
                f"{taken[name]} and {folder} would both be the specimen '{name}'; {_NEXT_STEP}, "
                "or count them into different --out"
            )
        taken[name] = folder
    return tuple(
        Specimen(
            names[folder],
            tuple(InputImage(image.path, Path(image.path.name)) for image in images),
            places[folder],
        )
        for folder, images in groups.items()
    )


def list_not_given(inputs: Sequence[InputImage], by: str) -> tuple[str, ...]:
    """Return what to say of rows of a table of specimens whose picture is there and was not given.

    Args:
        inputs: all images.
        by: as of :func:`group_images`.

    Raises:
        DataError: as :func:`group_images`.
    """
    if by == BY_FOLDER:
        return ()
    rows = _match_rows(inputs, Path(by))
    names = [row["image"] for row in rows.idle if _is_beside(row["image"], inputs, Path(by))]
    more = f"{by}: {len(names) - _MOST_NAMED} more images have a row and were not given"
    said = [f"{by}: {name} has a row and was not given, so it is in no count" for name in names[:_MOST_NAMED]]
    return (*said, *([more] if len(names) > _MOST_NAMED else []))


@dataclass(frozen=True)
class NotListed:
    """Images that were given and of which a table of specimens has no row; they are in no count.

    Attributes:
        table: its path.
        images: as the user gave them; at least one.
    """

    table: str
    images: tuple[str, ...]

    def __str__(self) -> str:
        """Name them on one line, with the next step."""
        more = len(self.images) - _MOST_NAMED
        named = ", ".join(self.images[:_MOST_NAMED]) + (f" and {more} more images" if more > 0 else "")
        are, rows = ("is", "a row") if len(self.images) == 1 else ("are", "a row for each")
        return f"{self.table}: has no row for {named}, which {are} in no count; add {rows} and count again"


def find_not_listed(inputs: Sequence[InputImage], by: str) -> NotListed | None:
    """Return the images that a table of specimens does not list; None where it lists all.

    Args:
        inputs: all images.
        by: as of :func:`group_images`.

    Raises:
        DataError: as :func:`group_images`.
    """
    if by == BY_FOLDER:
        return None
    rows = _match_rows(inputs, Path(by)).of_inputs
    images = tuple(image.name for image, row in zip(inputs, rows, strict=True) if row is None)
    return NotListed(by, images) if images else None


def _group_by_table(inputs: Sequence[InputImage], path: Path) -> tuple[Specimen, ...]:
    rows = _match_rows(inputs, path)
    groups: dict[str, list[tuple[InputImage, dict[str, str]]]] = {}
    for image, row in zip(inputs, rows.of_inputs, strict=True):
        if row is not None:
            groups.setdefault(row["specimen"], []).append((image, row))
    for row in rows.idle:
        name = Path(row["image"])
        if not _is_beside(row["image"], inputs, path):
            # As an input that is not there it fails, and the report of its specimen says that it lacks it.
            groups.setdefault(row["specimen"], []).append((InputImage(name, Path(name.name)), row))
    return tuple(
        Specimen(
            name,
            tuple(image for image, _ in members),
            Path(_name_folder(name, path)),
            {column: _join(row[column] for _, row in members) for column in rows.details},
        )
        for name, members in groups.items()
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of a table of specimens.

    Attributes:
        of_inputs: one an input, in the order of the inputs; None where an input has none.
        idle: those of no input.
        details: columns beside image and specimen.
    """

    of_inputs: tuple[dict[str, str] | None, ...]
    idle: tuple[dict[str, str], ...]
    details: tuple[str, ...]


def _match_rows(inputs: Sequence[InputImage], path: Path) -> _Rows:
    table = _read_table(path)
    listed = table["image"].to_list()
    doubled = [name for name in dict.fromkeys(listed) if listed.count(name) > 1]
    if doubled:
        raise DataError(f"{path}: names the image {doubled[0]} more than once; keep one row of it")
    try:
        row_of = {ours: theirs for theirs, ours in align_paths([i.name for i in inputs], listed).items()}
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if inputs and not row_of:
        more = "" if len(inputs) == 1 else f" and the other {len(inputs) - 1} images"
        raise DataError(f"{path}: has no row for {inputs[0].name}{more}; {_NEXT_STEP}, one row an image")
    rows = {row["image"]: row for row in table.iter_rows(named=True)}
    taken = set(row_of.values())
    return _Rows(
        tuple(rows[row_of[image.name]] if image.name in row_of else None for image in inputs),
        tuple(row for name, row in rows.items() if name not in taken),
        tuple(name for name in table.columns if name not in {"image", "specimen"}),
    )


def _is_beside(name: str, inputs: Sequence[InputImage], table: Path) -> bool:
    """Return whether a picture that a table names is there, as written, or from where the others lie."""
    # A table mostly writes paths from a folder above the images, as many levels up as the path has parts.
    up = len(PurePath(name).parts)
    folders = {folder for image in inputs for folder in image.path.parents[:up]}
    return any((folder / name).exists() for folder in (Path(), table.parent, *folders))


def _read_table(path: Path) -> pl.DataFrame:
    try:
        # Every column is text: an identifier 001 is not the number 1.
        table = read_csv(path, all_text=True).fill_null("")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: no readable table ({error}); {_NEXT_STEP}") from error
    missing = {"image", "specimen"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: has no column {', '.join(sorted(missing))}; {_NEXT_STEP}")
    empty = table.filter((pl.col("image") == "") | (pl.col("specimen") == ""))
    if empty.height:
        raise DataError(f"{path}: a row has no image or no specimen; fill it in or remove it")
    return table


def _name_folder(name: str, path: Path) -> str:
    """Return the folder of a specimen's results: its name, which must be that of one folder."""
    is_one = PurePath(name).name == name and not set(name) & set('\\/:*?"<>|') and as_text(name) == name
    if not is_one or not name.strip(". ") or name.startswith(".") or name.casefold() in RESERVED:
        raise DataError(f"{path}: the specimen '{name}' cannot be the name of a folder; rename it")
    return name


def _join(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(value for value in values if value))
