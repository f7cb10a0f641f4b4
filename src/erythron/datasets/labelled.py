"""What a reader of a set finds, and the manifest that is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from erythron.cells.class_map import ClassMap
from erythron.cells.classes import CellType, find_type
from erythron.datasets.manifest import MANIFEST_SCHEMA, hash_split
from erythron.errors import DataError
from erythron.files.hashing import hash_file
from erythron.files.naming import as_text


@dataclass(frozen=True)
class Box:
    """A cell's box in a field, in pixels."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class FoundCell:
    """One cell as a reader finds it.

    Attributes:
        path: image file.
        source_label: the label as the source writes it.
        group: what a split keeps together with it; empty where nothing is known: its content is its group.
        split: the part that the source puts it in, None where the source has no parts.
        mask_path: mask file, None where the set has none for it.
        mask_kind: one of ``manifest.MASK_KINDS``, None exactly where ``mask_path`` is.
        box: where the cell is in a field; None in a crop of one cell.
        mpp: microns per pixel of the image; None where nothing states it.
    """

    path: Path
    source_label: str
    group: str = ""
    split: str | None = None
    mask_path: Path | None = None
    mask_kind: str | None = None
    box: Box | None = None
    mpp: float | None = None


@dataclass(frozen=True)
class LabelledSet:
    """A set as read.

    Attributes:
        name: name of the set.
        rows: its manifest, columns and types of ``MANIFEST_SCHEMA``; sorted by path, the cells of one image
            as its source lists them.
        left_out: ``path`` and ``reason`` of every image that has no row.
        notes: what a user should know of how it was read, one sentence each.
    """

    name: str
    rows: pl.DataFrame
    left_out: pl.DataFrame
    notes: tuple[str, ...] = ()


def list_images(folder: Path, *suffixes: str) -> list[Path]:
    """Return the image files under a folder, sorted; hidden files and macOS resource forks are passed over.

    Raises:
        DataError: there is none.
    """
    paths = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in suffixes
        and not any(part.startswith(".") or part == "__MACOSX" for part in p.relative_to(folder).parts)
        and p.is_file()
    )
    if not paths:
        raise DataError(
            f"{folder}: no {' or '.join(suffixes)} file in this folder; check the path or fetch the set again"
        )
    return paths


def make_set(set_name: str, found: Iterable[FoundCell], class_map: ClassMap | None = None) -> LabelledSet:
    """Make the manifest of what a reader found.

    Left out, each with its reason, are cells whose label the class map gives to no kind, and files that
    cannot be read or whose path is no text.

    Raises:
        DataError: a label is not known; or no cell is left.
    """
    rows: list[tuple[object, ...]] = []
    failures: list[tuple[str, str]] = []
    digests: dict[Path, str] = {}
    for cell in found:
        kind = resolve_label(cell, class_map or {})
        name = as_text(cell.path)
        if kind is None:
            failures.append((name, f"is {as_text(cell.source_label)}, which the class map leaves out"))
            continue
        if name != str(cell.path):
            failures.append((name, "has a name that no table can hold; rename it"))
            continue
        try:
            digest = digests.get(cell.path) or hash_file(cell.path)
        except OSError as error:
            failures.append((name, f"cannot be read ({error.strerror})"))
            continue
        digests[cell.path] = digest
        box = cell.box
        rows.append(
            (
                str(cell.path.absolute()),
                kind.name,
                kind.cell_class.name if kind.cell_class else None,
                cell.source_label,
                cell.group or digest[:16],
                set_name,
                cell.split,
                digest,
                cell.mpp,
                str(cell.mask_path.absolute()) if cell.mask_path else None,
                cell.mask_kind,
                *((box.x_px, box.y_px, box.width_px, box.height_px) if box else (None,) * 4),
                None,
            )
        )
    if not rows:
        reason = failures[0][1] if failures else "it holds none"
        raise DataError(
            f"{set_name}: no cell is left ({reason}); check the class map, or fetch the set again"
        )
    table = pl.DataFrame(rows, schema=MANIFEST_SCHEMA, orient="row")
    # The cells of one image stay in their source's order, which seeded choices among them build on.
    table = table.sort("path", maintain_order=True)
    if table["split"].null_count() == 0:
        table = table.with_columns(pl.lit(hash_split(table)).alias("split_hash"))
    left_out = pl.DataFrame(failures, schema={"path": pl.String, "reason": pl.String}, orient="row")
    return LabelledSet(set_name, table, left_out)


def leave_out_contradictions(labelled: LabelledSet) -> LabelledSet:
    """Return the set without images that are filed under different labels: no one knows which is right."""
    labels = pl.col("label").n_unique().over("sha256")
    is_crop = pl.col("x_px").is_null()
    bad = labelled.rows.filter(is_crop & (labels > 1))
    if bad.is_empty():
        return labelled
    kept = labelled.rows.filter(~(is_crop & (labels > 1)))
    if kept["split"].null_count() == 0:
        kept = kept.with_columns(pl.lit(hash_split(kept)).alias("split_hash"))
    reasons = bad.select("path", pl.lit("the same image is filed under different classes").alias("reason"))
    return replace(labelled, rows=kept, left_out=pl.concat([labelled.left_out, reasons]))


def resolve_label(cell: FoundCell, class_map: ClassMap) -> CellType | None:
    """Return the type of a found cell, None where the class map leaves it out.

    Raises:
        DataError: neither the map nor the synonyms know its label.
    """
    if cell.source_label in class_map:
        return class_map[cell.source_label]
    try:
        return find_type(cell.source_label)
    except DataError as error:
        raise DataError(
            f"{cell.path}: {error}; say what it is with --class-map '{cell.source_label}=CLASS', or leave "
            f"its cells out with --class-map '{cell.source_label}='"
        ) from error
