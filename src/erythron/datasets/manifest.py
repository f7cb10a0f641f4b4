"""Manifests: one row a cell, with its label, the group that a split keeps together, and its split."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from erythron.cells.classes import CELL_TYPES, DEFAULT_CLASSES, UNSTAGED_ERYTHROBLAST
from erythron.errors import DataError
from erythron.files.hashing import hash_text
from erythron.files.tables import read_csv, read_parquet, write_csv, write_parquet

MANIFEST_SCHEMA: dict[str, pl.DataType] = {
    "path": pl.String(),
    "label": pl.String(),
    "class": pl.String(),
    "source_label": pl.String(),
    "group": pl.String(),
    "source": pl.String(),
    "split": pl.String(),
    "sha256": pl.String(),
    "mpp": pl.Float64(),
    "mask_path": pl.String(),
    "mask_kind": pl.String(),
    "x_px": pl.Int64(),
    "y_px": pl.Int64(),
    "width_px": pl.Int64(),
    "height_px": pl.Int64(),
    "split_hash": pl.String(),
}
"""Columns of every manifest.

- ``path``: image file; in a written manifest relative to the manifest's folder where the image lies under it.
- ``label``: name of the cell's type (``stages.CELL_TYPES``), as fine as the source has it.
- ``class``: the default model's class of that type; null where it has none.
- ``source_label``: the label as the source writes it.
- ``group``: what stays on one side of a split: a patient, slide, field, overlapping crops, copies.
- ``source``: name of the set.
- ``split``: ``train``, ``validation`` or ``test``; null before splitting.
- ``sha256``: of the image file's bytes.
- ``mpp``: microns per pixel; null where the source states none.
- ``mask_path``: mask file or null; written like ``path``.
- ``mask_kind``: how to read the mask, one of ``MASK_KINDS``; null exactly where ``mask_path`` is.
- ``x_px``, ``y_px``, ``width_px``, ``height_px``: left, top and size of the cell's box where the image is a
  field; null in a crop.
- ``split_hash``: :func:`hash_split` of the whole manifest, the same on every row; null before splitting.
"""

MANIFEST_SUFFIXES = (".parquet", ".csv")

SPLITS = ("train", "validation", "test")
"""Names of the parts of a split."""

MASK_KINDS = ("nucleus_255_cell_128", "nucleus_255_cell_155", "cell", "cell_above_0", "fourth_channel")
"""Kinds of masks.

- ``nucleus_255_cell_128``: grey 255 nucleus, 128 cytoplasm, 0 elsewhere.
- ``nucleus_255_cell_155``: the same with 155; may be stored as RGB and lossy.
- ``cell``: the whole cell is any value above 127.
- ``cell_above_0``: the whole cell is any value above 0, as in masks of 0 and 1.
- ``fourth_channel``: the mask is the fourth channel of the image file itself, the whole cell above 127.
"""

_REQUIRED = ("path", "label", "source_label", "group", "source", "sha256")
_TYPE_NAMES = frozenset(t.name for t in CELL_TYPES)
_CLASS_NAMES = frozenset(c.name for c in DEFAULT_CLASSES)


def write_manifest(rows: pl.DataFrame, path: Path) -> None:
    """Write a manifest as Parquet or CSV, by the suffix, under its name only when whole.

    Args:
        rows: columns and types of ``MANIFEST_SCHEMA``.
        path: ends in ``.parquet`` or ``.csv``.

    Raises:
        DataError: the suffix is another, or the rows are not valid.
    """
    check_suffix(path)
    check_manifest(rows, str(path))
    folder = path.absolute().parent
    stored = rows.with_columns(
        pl.col(name).map_elements(lambda p: _relate(p, folder), return_dtype=pl.String())
        for name in ("path", "mask_path")
    )
    if path.suffix == ".parquet":
        write_parquet(stored, path)
    else:
        write_csv(stored, path)


def read_manifest(path: Path) -> pl.DataFrame:
    """Read and check a manifest; relative paths come out joined to its folder.

    Columns that the file has beyond ``MANIFEST_SCHEMA`` are kept; optional ones that it lacks are null.

    Raises:
        DataError: the file is missing, unreadable, lacks a column or breaks a rule of :func:`check_manifest`.
    """
    check_suffix(path)
    try:
        is_parquet = path.suffix == ".parquet"
        rows = read_parquet(path) if is_parquet else read_csv(path, all_text=True)
    except (OSError, PolarsError) as error:
        raise DataError(
            f"{path}: the manifest cannot be read ({error}); name a .parquet or .csv file"
        ) from error
    missing = [name for name in _REQUIRED if name not in rows.columns]
    if missing:
        raise DataError(
            f"{path}: the manifest lacks the columns {', '.join(missing)}; it has {', '.join(rows.columns)}"
        )
    absent = [pl.lit(None).alias(name) for name in MANIFEST_SCHEMA if name not in rows.columns]
    try:
        rows = rows.with_columns(absent).cast(MANIFEST_SCHEMA)  # type: ignore[arg-type]
    except PolarsError as error:
        raise DataError(f"{path}: a column holds what is not of its type ({error})") from error
    folder = path.absolute().parent
    rows = rows.with_columns(
        pl.col(name).map_elements(lambda p: str(folder / p), return_dtype=pl.String())
        for name in ("path", "mask_path")
    )
    check_manifest(rows, str(path))
    return rows.select(*MANIFEST_SCHEMA, pl.exclude(*MANIFEST_SCHEMA))


def check_manifest(rows: pl.DataFrame, name: str) -> None:
    """Check columns, types and values of a manifest; the files are not looked at.

    Args:
        rows: the manifest.
        name: what messages call it.

    Raises:
        DataError: names the first broken rule, the row and the value.
    """
    for column, dtype in MANIFEST_SCHEMA.items():
        if column not in rows.columns:
            raise DataError(f"{name}: the manifest lacks the column '{column}'")
        if rows.schema[column] != dtype:
            raise DataError(f"{name}: column '{column}' is {rows.schema[column]} and must be {dtype}")
    if rows.is_empty():
        raise DataError(f"{name}: the manifest has no rows")
    for column in _REQUIRED:
        _refuse(rows, pl.col(column).is_null() | (pl.col(column) == ""), column, "must not be empty", name)
    _refuse_other(rows, "label", _TYPE_NAMES, name)
    _refuse_other(rows, "class", _CLASS_NAMES, name)
    _refuse_other(rows, "split", SPLITS, name)
    _refuse_other(rows, "mask_kind", MASK_KINDS, name)
    unlike = pl.col("mask_path").is_null() != pl.col("mask_kind").is_null()
    _refuse(rows, unlike, "mask_kind", "must be given exactly where mask_path is", name)
    not_hash = ~pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")
    _refuse(rows, not_hash, "sha256", "must be 64 hexadecimal digits", name)
    bad_scale = pl.col("mpp").is_not_null() & ~(pl.col("mpp").is_finite() & (pl.col("mpp") > 0))
    _refuse(rows, bad_scale, "mpp", "must be a positive number", name)
    boxes = [pl.col(c).is_null() for c in ("x_px", "y_px", "width_px", "height_px")]
    _refuse(
        rows,
        pl.any_horizontal(boxes) & ~pl.all_horizontal(boxes),
        "width_px",
        "a box needs all of x_px, y_px, width_px and height_px",
        name,
    )
    keys = ["path", "x_px", "y_px", "width_px", "height_px"]
    twice = rows.select(keys).is_duplicated()
    if twice.any():
        raise DataError(f"{name}: {rows.filter(twice)['path'][0]} is listed twice; remove one row")


def hash_rows(rows: pl.DataFrame) -> str:
    """Return the SHA-256 over content, class and group of every row, independent of folder and row order."""
    keys = rows.select(
        pl.concat_str(
            "source",
            "sha256",
            pl.col("class").fill_null(UNSTAGED_ERYTHROBLAST.name),
            "group",
            separator="\t",
        )
    )
    return hash_text("\n".join(sorted(keys.to_series())))


def hash_split(rows: pl.DataFrame) -> str:
    """Return the SHA-256 over which content, with which label and group, is in which part.

    Independent of row order and of where the files lie, so a moved set keeps its hash.
    """
    columns = ["source", "sha256", "label", "group", "split", "x_px", "y_px", "width_px", "height_px"]
    keys = rows.select(pl.concat_str(pl.col(columns).cast(pl.String).fill_null("-"), separator="\t"))
    return hash_text("\n".join(sorted(keys.to_series())))


def verify_split(rows: pl.DataFrame) -> str:
    """Check that a manifest is split, that the split is the one that was stored, and that it does not leak.

    Training and evaluation call this before they read a pixel. It compares tables only; that the files are
    still those that were split is the audit's to say.

    Returns:
        The split's hash, to be stored with whatever is made from it.

    Raises:
        DataError: a row has no part; train or test is empty; the rows differ from the stored hash; a group or
            one image's content is in two parts.
    """
    bare = rows.filter(pl.col("split").is_null())
    if bare.height:
        raise DataError(
            f"{bare.height} of {rows.height} rows have no split (first: {bare['path'][0]}); "
            "run erythron data split"
        )
    stored = rows["split_hash"].unique().to_list()
    actual = hash_split(rows)
    if stored != [actual]:
        said = ", ".join("none" if h is None else h[:16] for h in stored)
        raise DataError(
            f"the split is not the one that was stored: its hash is {actual[:16]}, the manifest says {said}; "
            "rows were changed, added or removed, so run erythron data split again"
        )
    present = set(rows["split"].unique())
    for part in ("train", "test"):
        if part not in present:
            raise DataError(f"no row is in the part '{part}'; run erythron data split")
    for column, what in (("group", "group"), ("sha256", "image content")):
        parts = rows.group_by(column).agg(pl.col("split").unique().sort())
        leaks = parts.filter(pl.col("split").list.len() > 1).sort(column)
        if leaks.height:
            first = leaks.row(0, named=True)
            raise DataError(
                f"{what} '{first[column]}' is in {' and '.join(first['split'])} "
                f"({leaks.height} such); the split leaks, so run erythron data split again"
            )
    return actual


def check_suffix(path: Path) -> None:
    """Raise DataError unless the path ends as a manifest does."""
    if path.suffix not in MANIFEST_SUFFIXES:
        raise DataError(f"{path}: a manifest ends in {' or '.join(MANIFEST_SUFFIXES)}; choose one of them")


def _relate(path: str, folder: Path) -> str:
    absolute = Path(path).absolute()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else absolute.as_posix()


def _refuse(rows: pl.DataFrame, bad: pl.Expr, column: str, rule: str, name: str) -> None:
    found = rows.with_row_index("_row").filter(bad)
    if found.height:
        raise DataError(
            f"{name}: row {found['_row'][0] + 1}: {column} is {found[column][0]!r} and {rule} "
            f"({found.height} such rows)"
        )


def _refuse_other(
    rows: pl.DataFrame, column: str, allowed: frozenset[str] | tuple[str, ...], name: str
) -> None:
    bad = pl.col(column).is_not_null() & ~pl.col(column).is_in(sorted(allowed))
    _refuse(rows, bad, column, f"must be one of {', '.join(sorted(allowed))}", name)
