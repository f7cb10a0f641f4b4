"""Reader of sets whose class is in a folder's name, a file's name or a table: BMEC, and sets of one's own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from PIL import Image

from erythron.cells.class_map import ClassMap
from erythron.cells.classes import CellType, find_type
from erythron.datasets.label_tables import TABLE_NAME, TableRow, read_label_tables
from erythron.datasets.labelled import FoundCell, list_images
from erythron.datasets.mask_folders import pair_masks
from erythron.datasets.rotated_names import group_rotated
from erythron.errors import DataError
from erythron.read.inputs import IMAGE_SUFFIXES

PUBLISHED_CELLS = 5666
"""Cells of BMEC (Wang et al. 2023, doi 10.1007/s10489-023-04465-z)."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "rotatetrain": "train",
    "rotatedtrain": "train",
    "trainrotate": "train",
    "trainrotated": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def read_class_folders(folder: Path, class_map: ClassMap) -> list[FoundCell]:
    """Read images whose class is in a folder's name, in their own name or in ``labels.csv``.

    A table wins over folders, and has a row of every image below its own; folders win over names. Of
    folders, the nearest whose name is in the map or is a known name of a cell counts; of a file's name, its
    first words (``early_0012.png``) or else its last. A folder called ``train``, ``val`` or the like puts
    what is under it in that part. Copies of one cell in a folder called ``rotate…`` share a group with it.
    Masks beside the images are their masks (:mod:`mask_folders`), never cells; in four-channel images the
    fourth channel is the mask.

    Raises:
        DataError: no image; or images whose class nothing says, listed by folder with their counts; or a
            table or the masks do not fit the images.
    """
    paired = pair_masks(folder, list_images(folder, *IMAGE_SUFFIXES))
    table = read_label_tables(folder, list(paired.images))
    cells = []
    unknown: Counter[str] = Counter()
    for path in paired.images:
        parents = path.relative_to(folder).parts[:-1]
        row = None if table is None else table.get(path)
        label = _find_label(path, parents, class_map) if row is None else row.label
        if label is None:
            unknown[next((p for p in reversed(parents) if _find_split(p) is None), "(no folder)")] += 1
            continue
        mask, kind = paired.mask_of.get(path), paired.kind
        if mask is None:
            mask, kind = (path, "fourth_channel") if _has_four_channels(path) else (None, None)
        cells.append(
            FoundCell(
                path,
                label,
                "" if row is None else row.group,
                split=_find_part(parents, row),
                mask_path=mask,
                mask_kind=kind,
            )
        )
    if unknown:
        found = ", ".join(f"'{name}' ({count} images)" for name, count in sorted(unknown.items()))
        raise DataError(
            f"{folder}: no known cell class is the name of these folders, or stands in the names of their "
            f"images: {found}; say what each is with --class-map 'NAME=CLASS', once for each, or leave its "
            "images out with --class-map 'NAME='"
        )
    return group_rotated(folder, cells)


def _find_label(path: Path, parents: tuple[str, ...], class_map: ClassMap) -> str | None:
    """Return the name of a class as a folder or the file's name has it."""
    in_folder = next((p for p in reversed(parents) if p in class_map or _name_class(p)), None)
    return in_folder or _find_in_name(path.stem, class_map)


def _find_in_name(stem: str, class_map: ClassMap) -> str | None:
    """Return the most words at the start of a name, or else at its end, that are the name of a class."""
    words = re.split(r"([\s_.-]+)", re.sub(r"(?<=[^\W\d_])(?=\d)", "_", stem))
    count = len(words)
    starts = ["".join(words[:end]) for end in range(count - 2, 0, -2)]
    ends = ["".join(words[start:]) for start in range(2, count, 2)]
    # A name that is a class and nothing else is that of a single cell, but a bare number is any cell's.
    whole = [] if stem.isdigit() else [stem]
    return next((t for t in (*whole, *starts, *ends) if t in class_map or _is_class_word(t)), None)


def _is_class_word(text: str) -> bool:
    # A code of one letter in a name, such as M2, may be anything; as a folder's name it is meant.
    return len(re.sub(r"[\W\d_]", "", text)) > 1 and _name_class(text) is not None


def _find_part(parents: tuple[str, ...], row: TableRow | None) -> str | None:
    if row is not None and row.split is not None:
        part = _find_split(row.split)
        if part is None:
            raise DataError(
                f"{TABLE_NAME}: '{row.split}' is no part of a split; write train, validation or test"
            )
        return part
    return next((s for p in parents if (s := _find_split(p))), None)


def name_labels(cells: list[FoundCell], class_map: ClassMap) -> ClassMap:
    """Return the map from every found label to the type that its name stands for."""
    return {
        label: class_map[label] if label in class_map else _name_class(label)
        for label in {c.source_label for c in cells}
    }


def describe_bmec(labels: list[str], cells: int) -> tuple[str, ...]:
    """Return what differs from what is published of BMEC, one sentence each; nothing where nothing differs.

    Args:
        labels: label of every image.
        cells: number of cells, which is less than that of images where copies are among them.
    """
    notes = []
    if cells != PUBLISHED_CELLS:
        more = "more" if cells > PUBLISHED_CELLS else "fewer"
        notes.append(
            f"{cells} cells were found and {PUBLISHED_CELLS} are published: "
            f"{abs(cells - PUBLISHED_CELLS)} {more}."
        )
    if cells != len(labels):
        notes.append(f"{len(labels)} images show {cells} cells: the others are rotated copies.")
    kinds = set(labels)
    if len(kinds) != 4:
        notes.append(f"{len(kinds)} classes were found and four are published: {', '.join(sorted(kinds))}.")
    return tuple(notes)


def _name_class(name: str) -> CellType | None:
    """Return the type that a folder's name stands for: as it is, or without numbers, brackets and endings."""
    bare = re.sub(r"^[\d._\s-]+|[\d._\s-]+$", "", name)
    tries = [name, bare, *re.split(r"[()（）\[\]【】]", name)]
    tries += [re.sub(r"(?i)[ _-]*(cells?|images?|imgs?|细胞|細胞)$", "", t) for t in tries]
    tries += [t.removesuffix("s") for t in tries]
    for attempt in tries:
        if attempt.strip(" _-."):
            try:
                return find_type(attempt)
            except DataError:
                continue
    return None


def _find_split(name: str) -> str | None:
    return _SPLITS.get(re.sub(r"[\s_\-\d]+", "", name).casefold())


def _has_four_channels(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode == "CMYK"
    # An unreadable file is the audit's to report.
    except (OSError, SyntaxError, ValueError):
        return False
