"""Reader of folders of class folders, whatever their depth and language: BMEC, and sets of one's own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from PIL import Image

from erythron.cells.class_map import ClassMap
from erythron.cells.classes import CellType, find_type
from erythron.datasets.labelled import FoundCell, list_images
from erythron.errors import DataError
from erythron.read.inputs import IMAGE_SUFFIXES

PUBLISHED_CELLS = 5666
"""Cells of BMEC (Wang et al. 2023, doi 10.1007/s10489-023-04465-z)."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "rotatetrain": "train",
    "trainrotate": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_ROTATED_NAME = re.compile(
    r"^(?P<cell>.+?)[ _-]*(?:rot(?:at(?:e|ed|ion))?|r)[ _-]*(?P<turn>-?\d{1,3})$", re.I
)
_NUMBERED_NAME = re.compile(r"^(?P<cell>.+?)[ _-](?P<turn>\d{1,3})$")
_MAX_COPIES = 36
"""A copy every ten degrees; more endings than this are numbers of cells."""


def read_class_folders(folder: Path, class_map: ClassMap) -> list[FoundCell]:
    """Read images whose class is the name of a folder above them, at any depth.

    The nearest folder whose name is in the map or is a known name of a cell counts. A folder called
    ``train``, ``val`` or the like puts what is under it in that part. In a folder called ``rotate…`` copies
    of one cell, told by the end of their names, share a group. In four-channel images the fourth channel is
    the mask.

    Raises:
        DataError: no image; or folders that no name explains, listed with their counts.
    """
    cells = []
    unknown: Counter[str] = Counter()
    for path in list_images(folder, *IMAGE_SUFFIXES):
        parents = path.relative_to(folder).parts[:-1]
        label = next((p for p in reversed(parents) if p in class_map or _name_class(p)), None)
        if label is None:
            unknown[next((p for p in reversed(parents) if _find_split(p) is None), "(no folder)")] += 1
            continue
        split = next((s for p in parents if (s := _find_split(p))), None)
        is_masked = _has_four_channels(path)
        cells.append(
            FoundCell(
                path,
                label,
                split=split,
                mask_path=path if is_masked else None,
                mask_kind="fourth_channel" if is_masked else None,
            )
        )
    if unknown:
        found = ", ".join(f"'{name}' ({count} images)" for name, count in sorted(unknown.items()))
        raise DataError(
            f"{folder}: no known cell class is the name of these folders: {found}; say what each is with "
            "--class-map 'NAME=CLASS', once for each, or leave its images out with --class-map 'NAME='"
        )
    return _group_rotated(folder, cells)


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


def _group_rotated(folder: Path, cells: list[FoundCell]) -> list[FoundCell]:
    """Give the rotated copies of one cell one group; elsewhere the content stays the group."""
    rotated = [c for c in cells if any("rot" in p.casefold() for p in c.path.relative_to(folder).parts[:-1])]
    numbered = [m for c in rotated if (m := _NUMBERED_NAME.match(c.path.stem))]
    turns = {m["turn"] for m in numbered}
    # Endings are turns where every cell has the same few of them, else they are the numbers of the cells.
    per_cell = len(numbered) / max(1, len({m["cell"] for m in numbered}))
    is_turn = 2 <= len(turns) <= _MAX_COPIES and per_cell > 0.9 * len(turns)
    in_rotated = {c.path for c in rotated}
    grouped = []
    for cell in cells:
        match = _ROTATED_NAME.match(cell.path.stem)
        if match is None and is_turn and cell.path in in_rotated:
            match = _NUMBERED_NAME.match(cell.path.stem)
        if match is not None or cell.path in in_rotated:
            name = match["cell"] if match else cell.path.stem
            place = cell.path.parent.relative_to(folder).as_posix()
            grouped.append(replace(cell, group=f"{place}/{name}"))
        else:
            grouped.append(cell)
    return grouped
