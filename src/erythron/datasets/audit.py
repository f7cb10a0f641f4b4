"""The audit of a manifest: what would leak over a split, what is mislabelled, unreadable or odd."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.datasets.features import Features, compute_features
from erythron.datasets.similarity import find_similar, group_similar
from erythron.datasets.stain_check import find_odd_stains, find_two_stains
from erythron.files.hashing import hash_file

FINDING_SCHEMA: dict[str, pl.DataType] = {
    "severity": pl.String(),
    "kind": pl.String(),
    "paths": pl.String(),
    "detail": pl.String(),
}
"""Table of findings; ``paths`` are joined by ``|``."""

_ODD_SIZE_SHARE = 0.01
_TELLING_SIZE_SHARE = 0.9
_TELLING_SIZE_IMAGES = 10


class Severity(StrEnum):
    """How much a finding weighs: a split that leaks, a fault of the data, something to know."""

    LEAK = "leak"
    FAULT = "fault"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Attributes:
        severity: how much it weighs.
        kind: what it is, snake_case, the same for all of its kind.
        paths: images that it is about.
        detail: one sentence.
    """

    severity: Severity
    kind: str
    paths: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        name: what was audited.
        cells: rows of the manifest.
        images: different image files.
        findings: leaks first, then faults, then notes.
        similar: pairs of images that show one piece of smear: ``first`` and ``second`` as paths, then as in
            ``similarity.PAIR_SCHEMA``.
        groups: number of groups of such images, each of two images or more.
    """

    name: str
    cells: int
    images: int
    findings: tuple[Finding, ...]
    similar: pl.DataFrame
    groups: int

    @property
    def leaks(self) -> bool:
        """Whether the split leaks."""
        return any(f.severity == Severity.LEAK for f in self.findings)


@dataclass(frozen=True)
class _Image:
    """One image file with what the manifest's rows say of it."""

    path: str
    source: str
    sha256: str
    labels: frozenset[str]
    groups: frozenset[str]
    splits: frozenset[str]
    is_field: bool


def audit_manifest(
    rows: pl.DataFrame, name: str, workers: int = 2, progress: Callable[[str], None] | None = None
) -> Audit:
    """Look at every image of a manifest and at how it is split.

    Args:
        rows: a manifest, split or not.
        name: what the report calls it.
        workers: threads that decode.
        progress: called with each image's path when it has been read.
    """
    images = _list_images(rows)
    features = compute_features([i.path for i in images], workers, progress)
    pairs = find_similar(features)
    members = group_similar(len(images), pairs)
    findings = [
        *_find_unreadable(images, features),
        *_find_exact_copies(images),
        *_find_split_groups(rows),
        *_find_similar(images, pairs),
        *_find_sizes(images, features),
        *_find_stains(images, features),
    ]
    order = list(Severity)
    findings.sort(key=lambda f: (order.index(f.severity), f.kind, f.paths))
    paths = pl.Series([i.path for i in images])
    named = pairs.with_columns(
        paths.gather(pairs["first"]).alias("first"), paths.gather(pairs["second"]).alias("second")
    )
    groups = int((np.bincount(members, minlength=1) > 1).sum()) if len(images) else 0
    return Audit(name, rows.height, len(images), tuple(findings), named, groups)


def tabulate_findings(audit: Audit) -> pl.DataFrame:
    """Return the findings as a table, columns of ``FINDING_SCHEMA``."""
    rows = [(f.severity.value, f.kind, "|".join(f.paths), f.detail) for f in audit.findings]
    return pl.DataFrame(rows, schema=FINDING_SCHEMA, orient="row")


def find_similar_rows(
    rows: pl.DataFrame, workers: int = 2, progress: Callable[[str], None] | None = None
) -> pl.DataFrame:
    """Return pairs of paths (``first``, ``second``) that show one piece of smear and must stay together."""
    paths = sorted(set(rows["path"]))
    pairs = find_similar(compute_features(paths, workers, progress))
    series = pl.Series(paths, dtype=pl.String)
    return pl.DataFrame({c: series.gather(pairs[c]) for c in ("first", "second")})


def _list_images(rows: pl.DataFrame) -> list[_Image]:
    table = (
        rows.group_by("path", maintain_order=True)
        .agg(
            pl.col("source").first(),
            pl.col("sha256").first(),
            pl.col("label").unique(),
            pl.col("group").unique(),
            pl.col("split").drop_nulls().unique(),
            pl.col("x_px").is_not_null().any(),
        )
        .sort("path")
    )
    return [
        _Image(
            path,
            source,
            sha256,
            frozenset(labels),
            frozenset(groups),
            frozenset(splits),
            is_field,
        )
        for path, source, sha256, labels, groups, splits, is_field in table.iter_rows()
    ]


def _find_unreadable(images: list[_Image], features: list[Features]) -> list[Finding]:
    findings = []
    for image, found in zip(images, features, strict=True):
        if found.error is not None:
            detail = f"{Path(image.path).name} {found.error}."
            findings.append(Finding(Severity.FAULT, "unreadable", (image.path,), detail))
        elif hash_file(Path(image.path)) != image.sha256:
            detail = "its content is not what the manifest states."
            findings.append(Finding(Severity.FAULT, "changed_file", (image.path,), detail))
    return findings


def _find_exact_copies(images: list[_Image]) -> list[Finding]:
    copies: defaultdict[str, list[_Image]] = defaultdict(list)
    for image in images:
        copies[image.sha256].append(image)
    findings = []
    for same in copies.values():
        if len(same) < 2:
            continue
        findings.append(
            Finding(
                Severity.FAULT,
                "exact_copy",
                tuple(i.path for i in same),
                f"{len(same)} files are equal byte for byte.",
            )
        )
        findings += _judge(same, "exact_copy", "equal files")
    return findings


def _find_split_groups(rows: pl.DataFrame) -> list[Finding]:
    sides = (
        rows.filter(pl.col("split").is_not_null())
        .group_by("group")
        .agg(pl.col("split").unique().sort(), pl.col("path").unique().sort())
        .filter(pl.col("split").list.len() > 1)
        .sort("group")
    )
    return [
        Finding(
            Severity.LEAK,
            "group_on_two_sides",
            tuple(paths),
            f"Group {group} is in {' and '.join(splits)}.",
        )
        for group, splits, paths in sides.iter_rows()
    ]


def _find_similar(images: list[_Image], pairs: pl.DataFrame) -> list[Finding]:
    findings = []
    for first, second, kind, similarity, overlap, turn, _ in pairs.iter_rows():
        a, b = images[first], images[second]
        if a.sha256 == b.sha256:
            continue
        both = (a.path, b.path)
        how = "" if turn == "none" else f", one {turn} of the other"
        detail = f"They share {100 * overlap:.0f} % of a picture{how} (correlation {similarity:.2f})."
        if not a.groups & b.groups:
            findings.append(
                Finding(Severity.FAULT, f"ungrouped_{kind}", both, f"{detail} Their groups differ.")
            )
        else:
            findings.append(Finding(Severity.NOTE, f"grouped_{kind}", both, f"{detail} They share a group."))
        findings += _judge([a, b], kind, "one piece of smear" if kind == "overlap" else "copies")
    return findings


def _judge(same: list[_Image], kind: str, what: str) -> list[Finding]:
    """Say where images that belong together are on two sides or, being copies, have two labels."""
    findings = []
    paths = tuple(i.path for i in same)
    splits = sorted(frozenset().union(*(i.splits for i in same)))
    if len(splits) > 1:
        detail = f"{what[0].upper()}{what[1:]} in {' and '.join(splits)}."
        findings.append(Finding(Severity.LEAK, f"{kind}_on_two_sides", paths, detail))
    labels = sorted(frozenset().union(*(i.labels for i in same)))
    # Crops that merely overlap show different cells, so their labels may differ.
    if kind != "overlap" and len(labels) > 1 and not any(i.is_field for i in same):
        detail = f"{what[0].upper()}{what[1:]} are filed as {' and as '.join(labels)}."
        findings.append(Finding(Severity.FAULT, "label_conflict", paths, detail))
    return findings


def _find_sizes(images: list[_Image], features: list[Features]) -> list[Finding]:
    findings = []
    for source in sorted({i.source for i in images}):
        own = [
            (i, f.size_px)
            for i, f in zip(images, features, strict=True)
            if i.source == source and f.error is None
        ]
        for size, count in Counter(size for _, size in own).most_common():
            held = [i for i, s in own if s == size]
            paths = tuple(i.path for i in held)
            if count < _ODD_SIZE_SHARE * len(own):
                detail = f"{size[0]} x {size[1]} px, as {count} of {len(own)} images of {source} are."
                findings.append(Finding(Severity.NOTE, "odd_size", paths, detail))
            label, most = Counter(label for i in held for label in i.labels).most_common(1)[0]
            elsewhere = any(label not in i.labels for i, _ in own)
            if count >= _TELLING_SIZE_IMAGES and most >= _TELLING_SIZE_SHARE * count and elsewhere:
                if count == len(own):
                    continue
                detail = (
                    f"{most} of the {count} images of {size[0]} x {size[1]} px are {label}: "
                    "the size gives the class away."
                )
                findings.append(Finding(Severity.FAULT, "size_tells_class", paths, detail))
    return findings


def _find_stains(images: list[_Image], features: list[Features]) -> list[Finding]:
    findings = []
    for source in sorted({i.source for i in images}):
        own = [
            (i, f)
            for i, f in zip(images, features, strict=True)
            if i.source == source and f.error is None and not i.is_field
        ]
        if own:
            findings += _find_stains_of(source, own)
    return findings


def _find_stains_of(source: str, own: list[tuple[_Image, Features]]) -> list[Finding]:
    findings = []
    paths = np.array([i.path for i, _ in own])
    labels = np.array(["/".join(sorted(i.labels)) for i, _ in own])
    colours = np.array([np.concatenate([f.background, f.foreground]) for _, f in own], np.float64)
    odd = find_odd_stains(colours)
    stains = find_two_stains(colours[:, :3], labels.tolist())
    if stains is not None:
        # What belongs to a second stain is many images' and not odd.
        odd &= ~stains.is_second
        detail = (
            f"{source} holds two stains: {stains.is_second.sum()} of {len(own)} images have a background "
            f"{stains.gap:.0f} CIELAB units from the others'."
        )
        findings.append(Finding(Severity.FAULT, "two_stains", tuple(paths[stains.is_second]), detail))
        for spread in stains.classes:
            held = tuple(paths[stains.is_second & (labels == spread.label)])
            counts = f"{spread.second} of {spread.first + spread.second} {spread.label} images"
            if spread.is_mixed:
                detail = f"{counts} have the rarer stain."
                findings.append(Finding(Severity.NOTE, "class_of_two_stains", held, detail))
            if spread.is_telling:
                detail = f"{counts} have the rarer stain (p = {spread.p_value:.1g}): colour tells the class."
                findings.append(Finding(Severity.FAULT, "stain_tells_class", held, detail))
    for path, colour in zip(paths[odd], colours[odd], strict=True):
        detail = (
            f"Its background is L*a*b* {_write_colour(colour[:3])} and its darkest part "
            f"{_write_colour(colour[3:])}, far from the set's."
        )
        findings.append(Finding(Severity.NOTE, "odd_stain", (str(path),), detail))
    return findings


def _write_colour(colour: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.0f}" for value in colour)
