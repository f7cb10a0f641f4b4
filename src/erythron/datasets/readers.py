"""Readers of public sets of single cells, each laid out as its source lays it out."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from erythron.datasets.features import compute_features
from erythron.datasets.labelled import Box, FoundCell, list_images
from erythron.datasets.masks import read_mask
from erythron.datasets.similarity import find_similar, group_similar
from erythron.errors import DataError

MARROW_MASKS = "marrow-masks"
"""Folder of hand-drawn outlines beside ``pathology-bites-cells``, same file names."""

BCCD_MASKS = "bccd-masks"
"""Folder of masks beside ``bccd``."""

_BCCD_MASK = "nucleus_255_cell_155"
_LEAST_OUTLINE_PX = 50
"""The smallest drawn cell of the set has thousands of pixels, its specks have a few."""

_WBC_CLASSES = {"1": "neutrophil", "2": "lymphocyte", "3": "monocyte", "4": "eosinophil", "5": "basophil"}


def read_pathology_bites(folder: Path) -> list[FoundCell]:
    """Read ``pathology-bites-cells``: marrow crops, the class before the last underscore of the name.

    Crops that ``overlap_groups.json`` lists together show one piece of smear and share a group; where the
    file is not there, as in the source, the groups are found from the pixels. Where ``marrow-masks`` lies
    beside this folder, its outlines are the cells' masks.

    Raises:
        DataError: no images, or a list of overlaps that cannot be read.
    """
    paths = list_images(folder, ".png")
    listing = folder / "overlap_groups.json"
    if listing.is_file():
        try:
            overlaps: list[list[str]] = json.loads(listing.read_text())
            group_of = {name: f"overlap_{i:02d}" for i, names in enumerate(overlaps) for name in names}
        except (OSError, TypeError, ValueError) as error:
            raise DataError(
                f"{listing}: the list of overlapping crops cannot be read ({error}); fetch the set again, or "
                "remove the file and the overlaps are found from the pixels"
            ) from error
    else:
        features = compute_features([str(p) for p in paths], workers=2)
        members = group_similar(len(paths), find_similar(features))
        group_of = {p.name: f"overlap_{m:03d}" for p, m in zip(paths, members, strict=True)}
    masks = folder.parent / MARROW_MASKS
    cells = []
    for path in paths:
        mask = masks / path.name
        is_drawn = mask.is_file()
        cells.append(
            FoundCell(
                path,
                path.stem.rsplit("_", 1)[0],
                group_of.get(path.name, path.stem),
                mask_path=mask if is_drawn else None,
                mask_kind="nucleus_255_cell_128" if is_drawn else None,
            )
        )
    return cells


def read_pbc_acevedo(folder: Path) -> list[FoundCell]:
    """Read ``pbc-acevedo``: peripheral-blood crops, the class being the name of the folder.

    Source: Acevedo et al., Data in Brief 2020, doi 10.1016/j.dib.2020.105474. The source names no patient:
    files of equal content share a group, nothing else is known.

    Raises:
        DataError: the folder has no images.
    """
    return [FoundCell(p, p.parent.name) for p in list_images(folder, ".jpg", ".jpeg")]


def read_matek(folder: Path) -> list[FoundCell]:
    """Read the Munich bone-marrow set: the class code before the first underscore of the name.

    Source: Matek et al., Blood 2021, doi 10.1182/blood.2020010568. The archive's layout (a folder a class,
    within it folders of a thousand files) and loose files read alike. No patient is named.

    Raises:
        DataError: the folder has no images.
    """
    return [FoundCell(p, p.stem.split("_", 1)[0]) for p in list_images(folder, ".jpg", ".jpeg")]


def read_segmentation_wbc(folder: Path) -> list[FoundCell]:
    """Read ``segmentation_WBC``: crops ``Dataset N/NNN.bmp`` with masks ``NNN.png`` and a CSV of classes.

    Source: Zheng et al., Micron 2018, doi 10.1016/j.micron.2018.01.010. A data set without its CSV gives
    white cells of unknown kind.

    Raises:
        DataError: no images; a mask is missing; or the CSV does not name every image.
    """
    classes: dict[tuple[str, int], str] = {}
    for table in sorted(folder.glob("Class Labels of *.csv")):
        dataset = table.stem.removeprefix("Class Labels of ")
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.reader(file):
                if len(row) >= 2 and row[0].strip().isdigit():
                    classes[dataset, int(row[0])] = row[1].strip()
    known = {dataset for dataset, _ in classes}
    cells = []
    for path in list_images(folder, ".bmp"):
        mask = path.with_suffix(".png")
        if not mask.is_file():
            raise DataError(f"{path}: its mask {mask.name} is not beside it; fetch the set again")
        dataset = path.parent.name
        label = "white cell"
        if dataset in known:
            code = classes.get((dataset, int(path.stem)) if path.stem.isdigit() else ("", 0), "")
            if code not in _WBC_CLASSES:
                raise DataError(
                    f"{folder}: the class of {dataset}/{path.name} is {code or 'missing'} in "
                    f"'Class Labels of {dataset}.csv' and must be 1 to 5; fetch the set again"
                )
            label = _WBC_CLASSES[code]
        cells.append(FoundCell(path, label, mask_path=mask, mask_kind="nucleus_255_cell_128"))
    return cells


def read_bcisc(folder: Path) -> list[FoundCell]:
    """Read the crops of ``bcisc``: ``sub-images/images/CLASS_A-B_I.jpg`` with whole-cell masks.

    A-B names the field. What A stands for is not documented, but crops of different classes that show one
    piece of smear agree in A and not in B; so everything with one A is one group.

    Raises:
        DataError: no crops; or a name is not of that form.
    """
    cells = []
    for path in list_images(folder / "sub-images" / "images", ".jpg"):
        parts = re.fullmatch(r"[a-z]+_(\d+)-\d+_\d+", path.stem)
        if not parts:
            raise DataError(f"{path}: the name is not CLASS_A-B_I.jpg; fetch the set again")
        mask = folder / "sub-images" / "masks" / f"{path.stem}.png"
        has_mask = mask.is_file()
        cells.append(
            FoundCell(
                path,
                path.stem.split("_", 1)[0],
                f"series_{parts[1]}",
                mask_path=mask if has_mask else None,
                mask_kind="cell" if has_mask else None,
            )
        )
    return cells


def read_bccd(folder: Path) -> list[FoundCell]:
    """Read ``bccd``: one cell for every box of every field's VOC file; a field is a group.

    Where the folder ``bccd-masks`` lies beside this one, white cells have the field's mask. Six fields of the
    set hold a white cell that was outlined and has no box: there the outline's own box stands for it.

    Raises:
        DataError: no fields; or an annotation or a mask is missing or broken.
    """
    masks = {p.name: p for p in (folder.parent / BCCD_MASKS).rglob("BloodImage_Mask_*.png")}
    cells = []
    for path in list_images(folder, ".jpg"):
        annotation = path.parent.parent / "Annotations" / f"{path.stem}.xml"
        try:
            # The files come from a pinned commit; expat in use resolves no external entities.
            objects = ET.parse(annotation).getroot().findall("object")  # noqa: S314
            found = [(str(o.findtext("name")), _read_box(o)) for o in objects]
        except (OSError, ET.ParseError, TypeError, ValueError) as error:
            raise DataError(
                f"{annotation}: the boxes of {path.name} cannot be read ({error}); fetch the set again"
            ) from error
        mask = masks.get(f"{path.stem.replace('_', '_Mask_', 1)}.png")
        if mask is not None and all(label != "WBC" for label, _ in found):
            found += [("WBC", box) for box in _find_outlined(mask, _BCCD_MASK)]
        for label, box in found:
            own_mask = mask if label == "WBC" else None
            cells.append(
                FoundCell(
                    path,
                    label,
                    path.stem,
                    mask_path=own_mask,
                    mask_kind=_BCCD_MASK if own_mask else None,
                    box=box,
                )
            )
    return cells


def _find_outlined(mask: Path, kind: str) -> Iterator[Box]:
    """Yield the box of every outlined cell of a mask; specks are none."""
    parts, _ = ndimage.label(read_mask(mask, kind).cell)
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
        if np.count_nonzero(parts[rows, columns] == number) >= _LEAST_OUTLINE_PX:
            yield Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


def _read_box(item: ET.Element) -> Box:
    low_x, low_y, high_x, high_y = (
        int(str(item.findtext(f"bndbox/{name}"))) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    return Box(low_x, low_y, high_x - low_x, high_y - low_y)
