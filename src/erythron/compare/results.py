"""Two sets of results read, matched and compared, as the ``compare`` command prints them.

Inputs are tables of single cells (``cells.csv``, the CSV of ``classify``, a reader's table with the same
columns), a finished run's folder, or counts of specimens (``summary.csv``, ``differential.json``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from erythron.cells.classes import Lineage, find_class
from erythron.cells.table import PROBABILITY, count_as_confirmed, is_counted, list_probability_classes
from erythron.compare.alignment import align_paths
from erythron.compare.comparison import UNCLASSIFIED, Comparison, compare_cells, compare_shares
from erythron.differential.counts import Differential
from erythron.errors import DataError, UsageError
from erythron.files.reading import read_text
from erythron.files.tables import read_csv
from erythron.results.record import CELLS
from erythron.results.repeated import drop_repeated
from erythron.results.run import read_run

_PLACE = ("x_px", "y_px", "width_px", "height_px")
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Results:
    """One side of a comparison.

    Attributes:
        cells: columns ``image``, ``call`` and, where known, ``cell_id`` and the place; None for counts alone.
        counts: nucleated cells by class by image, or by specimen.
        is_by_image: which of the two.
        specimens: the images of each, where a run states them; a run without specimens is one. None where
            nothing is known of them: then each image stands for a specimen.
    """

    cells: pl.DataFrame | None
    counts: Counts
    is_by_image: bool = True
    specimens: Mapping[str, Sequence[str]] | None = None


def compare_results(a: Path, b: Path) -> Comparison:
    """Compare two results.

    Raises:
        DataError: an input cannot be read, an image of one may be either of two of the other, or the two
            have no cell or specimen in common.
        UsageError: one holds single cells and the other counts, which have nothing to be matched by.
    """
    one = read_results(a)
    other, renamed = _align(one, read_results(b))
    counts, renamed_specimens = _count_specimens(one, other)
    cells = None
    if one.cells is not None and other.cells is not None:
        pairs = match_cells(one.cells, other.cells)
        if not pairs:
            raise DataError(
                f"{a} and {b} have no cell in common; images are matched by the ends of their paths, "
                "cells by their place within half a diameter, else by cell_id: compare results of the "
                "same images"
            )
        cells = compare_cells(pairs, one.cells.height - len(pairs), other.cells.height - len(pairs))
    shares = compare_shares(*counts)
    if cells is None and not shares:
        if (one.cells is None) != (other.cells is None):
            raise UsageError(
                f"{a} and {b}: compare cells with cells, or counts with counts of the same images"
            )
        raise DataError(
            f"{a} and {b} have no specimen with cells in common; they are matched by the ends of their paths"
        )
    by_image = one.is_by_image and other.is_by_image and one.specimens is other.specimens is None
    return Comparison(str(a), str(b), cells, shares, (*renamed, *renamed_specimens), by_image)


def read_results(path: Path) -> Results:
    """Read one side of a comparison.

    Raises:
        DataError: the path is no result that can be compared.
    """
    if path.is_dir():
        files = sorted(path.rglob(CELLS))
        if not files:
            raise DataError(
                f"{path}: holds no {CELLS}; give the output folder of 'erythron count', or a table"
            )
        files = [folder / CELLS for folder in drop_repeated([file.parent for file in files], path)]
        tables = _tell_images_apart(path, files)
        found = _from_cells(pl.concat(tables, how="diagonal"))
        return replace(found, specimens=_find_specimens(path, zip(files, tables, strict=True)))
    if path.suffix == ".json":
        try:
            differential = Differential.from_json(read_text(path))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
        return Results(None, {path.parent.name: _count_differential(differential)}, is_by_image=False)
    table = _read_csv(path)
    if "label" in table.columns:
        return _from_cells(_read_cells(path))
    counts, is_by_image = _count_summary(table, path), "specimen" not in table.columns
    is_of_run = is_by_image and read_run(path.parent) is not None
    return Results(None, counts, is_by_image, {path.parent.name: tuple(counts)} if is_of_run else None)


def _find_specimens(
    folder: Path, tables: Iterable[tuple[Path, pl.DataFrame]]
) -> dict[str, tuple[str, ...]] | None:
    """Return the images of each specimen: those that lie under one record of a run. None without records.

    Args:
        folder: that was given.
        tables: each with its file.
    """
    specimens: dict[str, tuple[str, ...]] = {}
    for file, table in tables:
        above = (place for place in file.parents[1:] if place == folder or folder in place.parents)
        run = next((place for place in above if read_run(place) is not None), None)
        if run is not None:
            name = folder.resolve().name if run == folder else run.relative_to(folder).as_posix()
            specimens[name] = (*specimens.get(name, ()), *table["image"].unique())
    return specimens or None


def _tell_images_apart(folder: Path, files: list[Path]) -> list[pl.DataFrame]:
    """Read tables of cells; an image name that several of them have gets the folder of its run before it.

    Raises:
        DataError: two tables of one run are of one image.
    """
    tables = [_read_cells(file) for file in files]
    seen = Counter(image for table in tables for image in set(table["image"]))
    apart = []
    taken: dict[str, Path] = {}
    for file, table in zip(files, tables, strict=True):
        run = file.parent.parent.relative_to(folder).as_posix() if file.parent != folder else "."
        names = {n: n if seen[n] == 1 or run == "." else f"{run}/{n}" for n in set(table["image"])}
        for name in names.values():
            if name in taken:
                raise DataError(
                    f"{taken[name]} and {file} are both of the image {name}; give a folder that holds one"
                )
            taken[name] = file
        apart.append(table.with_columns(pl.col("image").replace(names)))
    return apart


def match_cells(a: pl.DataFrame, b: pl.DataFrame) -> list[tuple[str, str, str]]:
    """Return image, call of A and call of B of every cell that both have.

    By place where both have one: nearest to each other and within half the smaller cell's diameter. Else by
    ``cell_id`` where both have that, else one cell an image.

    Raises:
        DataError: an image has several cells and nothing to tell them apart.
    """
    if set(_PLACE) <= set(a.columns) & set(b.columns):
        pairs = []
        of_b = {str(key[0]): rows for key, rows in b.group_by("image")}
        for key, rows in a.group_by("image", maintain_order=True):
            image = str(key[0])
            if image in of_b:
                pairs += [
                    (image, str(rows["call"][i]), str(of_b[image]["call"][j]))
                    for i, j in _match_places(rows, of_b[image])
                ]
        return pairs
    keys = ["image", "cell_id"] if "cell_id" in a.columns and "cell_id" in b.columns else ["image"]
    for table in (a, b):
        if table.select(keys).is_duplicated().any():
            raise DataError(
                f"several cells have one {' and '.join(keys)}; give {', '.join(_PLACE)} or cell_id in both"
            )
    joined = a.select(*keys, "call").join(b.select(*keys, "call"), on=keys, maintain_order="left")
    return [(str(row["image"]), str(row["call"]), str(row["call_right"])) for row in joined.to_dicts()]


def _match_places(a: pl.DataFrame, b: pl.DataFrame) -> list[tuple[int, int]]:
    from scipy.spatial import cKDTree  # takes long to import, and only this needs it

    here, there = (t.select("x_px", "y_px").to_numpy().astype(np.float64) for t in (a, b))
    half_a, half_b = ((t["width_px"] + t["height_px"]).to_numpy() / 4.0 for t in (a, b))
    _, nearest_b = cKDTree(there).query(here)
    distance, nearest_a = cKDTree(here).query(there)
    return [
        (i, int(j))
        for i, j in enumerate(nearest_b)
        if nearest_a[j] == i and distance[j] <= min(half_a[i], half_b[j])
    ]


def _align(a: Results, b: Results) -> tuple[Results, tuple[tuple[str, str], ...]]:
    """Return B with its images called as A calls them, and those that A calls otherwise."""
    found = align_paths(*(sorted(_list_images(r)) for r in (a, b)))
    cells = None if b.cells is None else b.cells.with_columns(pl.col("image").replace(found))
    counts, specimens = b.counts, b.specimens
    if b.is_by_image:
        counts = {found.get(name, name): of_image for name, of_image in counts.items()}
    if specimens is not None:
        specimens = {
            name: tuple(found.get(image, image) for image in images) for name, images in specimens.items()
        }
    return Results(cells, counts, b.is_by_image, specimens), _list_renamed(found)


def _list_images(side: Results) -> set[str]:
    of_cells = set() if side.cells is None else set(side.cells["image"])
    return of_cells | (set(side.counts) if side.is_by_image else set())


def _count_specimens(a: Results, b: Results) -> tuple[tuple[Counts, Counts], tuple[tuple[str, str], ...]]:
    """Return the counts of both by specimen, called as A calls them, and those that A calls otherwise.

    The fields of one specimen are added up, and no specimens: what differs between them says little of what
    differs between persons. Of two that are both by image only images that both have are added up.
    """
    known = [side.specimens for side in (a, b) if side.specimens is not None]
    if a.is_by_image and b.is_by_image:
        groups = max(known, key=len, default=None)
        common = set(a.counts) & set(b.counts)
        one, other = (_add_up(side.counts, groups, common) for side in (a, b))
    else:
        one, other = (_add_up(side.counts, side.specimens, set(side.counts)) for side in (a, b))
    if (a.cells is None or b.cells is None) and len(one) == len(other) == 1:
        # Two counts that are given by themselves are meant to be of one specimen, whatever their folders.
        found = {next(iter(other)): next(iter(one))}
    else:
        found = align_paths(sorted(one), sorted(other))
    aligned = {found.get(name, name): of_one for name, of_one in other.items()}
    return (one, aligned), _list_renamed(found)


def _add_up(counts: Counts, groups: Mapping[str, Sequence[str]] | None, taken: Set[str]) -> Counts:
    """Return counts by specimen of the images that are taken; an image of no specimen stands for itself."""
    owner = {image: name for name, images in (groups or {}).items() for image in images}
    parts: dict[str, list[dict[str, int]]] = {}
    for image, of_image in counts.items():
        if image in taken:
            parts.setdefault(owner.get(image, image), []).append(of_image)
    return {
        name: _add(item for of_image in images for item in of_image.items()) for name, images in parts.items()
    }


def _list_renamed(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((ours, theirs) for theirs, ours in found.items() if ours != theirs))


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        # Names are text whatever they look like, and a column of an image without a cell has no look.
        names = dict.fromkeys(("image", "specimen", "cell_id", "label", "flags"), pl.String())
        return read_csv(path, {**names, **dict.fromkeys(_PLACE, pl.Float64())})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: no readable table ({error}); give a CSV file of erythron") from error


def _read_cells(path: Path) -> pl.DataFrame:
    table = _read_csv(path)
    missing = {"image", "label"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: has no column {', '.join(sorted(missing))}; give a table of single cells")
    table = table.filter(pl.col("label").is_not_null())
    flags = pl.col("flags").cast(pl.String).fill_null("") if "flags" in table.columns else pl.lit("")
    table = table.with_columns(flags.alias("flags"))
    # A person's call goes before that of the model.
    confirmed = (
        pl.col("confirmed_as").cast(pl.String).fill_null("")
        if "confirmed_as" in table.columns
        else pl.lit("")
    )
    table = table.with_columns(confirmed.alias("confirmed_as"))
    table = _take_edits(table).filter(is_counted())
    try:
        called = [
            UNCLASSIFIED if name == UNCLASSIFIED else find_class(str(name)).name
            for name in table["counted_as"]
        ]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    kept = [c for c in ("cell_id", *_PLACE) if c in table.columns]
    return table.select(pl.col("image").cast(pl.String), pl.Series("call", called, pl.String), *kept)


def _take_edits(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of cells whose ``counted_as`` is what each is called, edits of a person before all.

    As in a recount a ``counted_as`` that is not what the model's call makes goes before ``label``, which was
    edited where it is not the most probable class.
    """
    names = list_probability_classes(table.columns)
    chances = [pl.col(f"{PROBABILITY}{name}").cast(pl.Float64, strict=False) for name in names]
    most_probable = [
        pl.when(
            chance == pl.max_horizontal(chances), pl.all_horizontal(one.is_not_null() for one in chances)
        ).then(pl.lit(name))
        for name, chance in zip(names, chances, strict=True)
    ]
    table = table.with_columns(pl.coalesce(*most_probable, "label").alias("label"), given=pl.col("label"))
    by_model = count_as_confirmed()
    is_edited = pl.lit(value=False)
    stated = by_model
    if "counted_as" in table.columns:
        stated = pl.col("counted_as").cast(pl.String).fill_null("").str.strip_chars()
        is_edited = (stated != "") & (stated != by_model)
    called = (
        pl.when(is_edited).then(stated).when(pl.col("given") != pl.col("label")).then("given")
    ).otherwise(by_model)
    return table.with_columns(called.alias("counted_as"))


def _from_cells(cells: pl.DataFrame) -> Results:
    counts: Counts = {}
    for image, call in cells.select("image", "call").iter_rows():
        if call == UNCLASSIFIED or find_class(call).lineage is not Lineage.NOT_NUCLEATED:
            of_image = counts.setdefault(image, {})
            of_image[call] = of_image.get(call, 0) + 1
    return Results(cells, counts)


def _count_differential(differential: Differential) -> dict[str, int]:
    nucleated = (line for line in differential.classes if line.of_nucleated is not None)
    return _add((find_class(line.name).name, line.count) for line in nucleated) | {
        UNCLASSIFIED: differential.unclassified.count
    }


def _count_summary(table: pl.DataFrame, path: Path) -> Counts:
    columns = [c for c in table.columns if c.startswith("count_")]
    key = "specimen" if "specimen" in table.columns else "image"
    if key not in table.columns or not columns:
        raise DataError(
            f"{path}: is neither a table of cells (columns image, label) nor a summary (image or "
            "specimen, count_<class>); give cells.csv, summary.csv, differential.json or a run's folder"
        )
    classes = {c: find_class(c.removeprefix("count_")) for c in columns}
    counts: Counts = {}
    for row in table.filter(pl.col(columns[0]).is_not_null()).to_dicts():
        name = str(row[key])
        if name in counts:
            raise DataError(f"{path}: {name} stands in two rows; give each specimen one")
        nucleated = ((k.name, row[c]) for c, k in classes.items() if k.lineage is not Lineage.NOT_NUCLEATED)
        try:
            counts[name] = _add(nucleated) | {UNCLASSIFIED: int(row.get("unclassified_cells") or 0)}
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{path}: {name} has a count that is no whole number ({error}); mend it"
            ) from error
    return counts


def _add(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return sums by name: classes of a finer model may have one name here."""
    total: dict[str, int] = {}
    for name, count in counts:
        total[name] = total.get(name, 0) + int(count)
    return total
