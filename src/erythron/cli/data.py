"""``erythron data``: list, fetch, audit and split labelled sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cells.class_map import parse_class_map
from erythron.cli.options import ClassMap, Force, Json, SplitKind

data_app = typer.Typer(help="Labelled sets: list, fetch, audit and split them.", no_args_is_help=True)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SET",
        help="A registered name, a manifest, folder or archive.",
        show_default=False,
    ),
]


@data_app.command("list")
def list_sets(as_json: Json = False) -> None:
    """Show the public sets that are known: what each adds, its size to download and its licence."""
    import json

    from erythron.datasets.registry import load_registry, locate_set

    sets = list(load_registry().values())
    here = {s.name: locate_set(s.name) for s in sets}
    if as_json:
        entries = [
            {**s.model_dump(mode="json"), "folder": str(here[s.name]) if here[s.name] else None} for s in sets
        ]
        typer.echo(json.dumps(entries, indent=2))
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for s in sets:
        size = "size unknown" if s.download_bytes is None else decimal(s.download_bytes)
        may = "may" if s.trains_shipped_weights else "may not"
        lines = (
            s.about,
            f"Adds: {s.say_adds() or 'no cells of its own'}",
            f"Licence: {s.licence}; {may} train weights that ship",
            f"Download: {size}" + ("" if s.url else ", by hand"),
        )
        console.print(s.name + (", here" if here[s.name] else ""), style="bold", markup=False)
        for line in lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))


@data_app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered name.", show_default=False)],
    class_map: ClassMap = None,
    as_json: Json = False,
) -> None:
    """Download a public set, or find it in ERYTHRON_DATA_DIR, and say what it holds."""
    import json

    from erythron.cli.progress import show_bytes, show_downloads, show_failures
    from erythron.datasets.fetch import fetch_set, plan_download
    from erythron.datasets.registry import find_registered
    from erythron.datasets.sets import read_set

    registered = find_registered(name)
    download = plan_download(registered)
    if download is not None:
        show_downloads([download])
    with show_bytes(f"Fetching {name}") as progress:
        folder = fetch_set(registered, progress)
    if registered.part_of is not None:
        typer.echo(json.dumps({"folder": str(folder)}) if as_json else f"{name} is in {folder}")
        return
    labelled = read_set(name, folder, class_map=parse_class_map(class_map or ()))
    show_failures([f"{path}: {reason}" for path, reason in labelled.left_out.iter_rows()])
    counts = dict(labelled.rows["label"].value_counts(sort=True).iter_rows())
    notes = list(labelled.notes)
    if registered.cells is not None and labelled.rows.height != registered.cells and not notes:
        notes.append(f"{labelled.rows.height} cells were found and {registered.cells} are published.")
    if as_json:
        typer.echo(
            json.dumps(
                {"folder": str(folder), "cells": labelled.rows.height, "labels": counts, "notes": notes}
            )
        )
        return
    typer.echo(f"{name} is in {folder}: {labelled.rows.height} cells")
    for label, count in counts.items():
        typer.echo(f"  {label}: {count}")
    for note in notes:
        typer.echo(note)


@data_app.command("audit")
def audit(
    source: Source,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the page and the tables.")
    ] = None,
    class_map: ClassMap = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Look for leaks, copies, wrong labels, unreadable files, odd sizes and stains; exit 1 on a leak."""
    import json
    from collections import Counter

    from erythron.cli.progress import show_failures, show_notice, show_progress
    from erythron.datasets.audit import audit_manifest, tabulate_findings
    from erythron.datasets.audit_page import KINDS, render_audit
    from erythron.datasets.sets import open_set
    from erythron.files.tables import write_csv
    from erythron.files.writing import write_file

    if out is not None:
        _refuse_used(out, force)
    labelled = open_set(source, parse_class_map(class_map or ()), keep_contradictions=True)
    show_failures([f"{path}: {reason}" for path, reason in labelled.left_out.iter_rows()])
    for note in labelled.notes:
        show_notice(note)
    images = labelled.rows["path"].n_unique()
    with show_progress(f"Auditing {labelled.name}", images) as progress:
        result = audit_manifest(labelled.rows, labelled.name, progress=progress)
    findings = tabulate_findings(result)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "audit.html", render_audit(result))
        write_csv(findings, out / "findings.csv")
        write_csv(result.similar, out / "similar.csv")
        write_file(out / "findings.json", json.dumps(findings.to_dicts(), ensure_ascii=False, indent=2))
    counts = Counter((f.severity.value, f.kind) for f in result.findings)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "set": result.name,
                    "cells": result.cells,
                    "images": result.images,
                    "leaks": result.leaks,
                    "similar_pairs": result.similar.height,
                    "similar_groups": result.groups,
                    "findings": {kind: count for (_, kind), count in counts.items()},
                }
            )
        )
    else:
        typer.echo(f"{result.name}: {result.cells} cells in {result.images} images")
        for (severity, kind), count in counts.items():
            typer.echo(f"  {severity}: {KINDS[kind]}: {count}")
        typer.echo("The split leaks." if result.leaks else "No leak over a split was found.")
    raise typer.Exit(1 if result.leaks else 0)


@data_app.command("split")
def split(
    source: Source,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Manifest to write: .parquet or .csv.")],
    kind: Annotated[
        SplitKind,
        typer.Option(
            "--split",
            help="'published' keeps the parts that the set was published with; a validation part without a "
            "test beside it is then the test.",
        ),
    ] = SplitKind.GROUPED,
    validation: Annotated[float, typer.Option(help="Share of the cells for validation.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share of the cells for the test.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Orders groups of equal make-up.")] = 0,
    class_map: ClassMap = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of these names, whoever wrote them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Split a set by group, or keep its published parts; copies and overlapping crops are on one side."""
    import json
    from dataclasses import asdict

    from erythron.cli.progress import show_failures, show_notice, show_progress
    from erythron.datasets.audit import find_similar_rows
    from erythron.datasets.manifest import check_suffix, write_manifest
    from erythron.datasets.sets import open_set
    from erythron.datasets.split import SplitPlan, count_labels, keep_published, split_rows
    from erythron.errors import UsageError
    from erythron.files.writing import write_file

    beside = out.with_name(f"{out.stem}.split.json")
    for path in (out, beside):
        if path.exists() and not force:
            raise UsageError(f"{path}: is there already; name another file or give --force")
    check_suffix(out)
    plan = SplitPlan(validation, test, seed)
    labelled = open_set(source, parse_class_map(class_map or ()))
    show_failures([f"{path}: {reason}" for path, reason in labelled.left_out.iter_rows()])
    for note in labelled.notes:
        show_notice(note)
    with show_progress(f"Comparing {labelled.name}", labelled.rows["path"].n_unique()) as progress:
        similar = find_similar_rows(labelled.rows, progress=progress)
    is_published = kind is SplitKind.PUBLISHED
    result = (
        keep_published(labelled.rows, similar) if is_published else split_rows(labelled.rows, plan, similar)
    )
    write_manifest(result.rows, out)
    table = count_labels(result.rows)
    record = {
        "manifest": str(out),
        "plan": {"split": kind.value} if is_published else asdict(plan),
        "split_hash": result.hash,
        "cells": result.rows.height,
        "groups": result.rows["group"].n_unique(),
        "groups_joined": result.merged,
        "similar_pairs": similar.height,
        "counts": table.to_dicts(),
        "notes": list(result.notes),
        "left_out": labelled.left_out.to_dicts(),
    }
    write_file(beside, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        typer.echo(json.dumps(record))
        return
    typer.echo(f"{result.rows.height} cells in {record['groups']} groups, split {result.hash[:16]}, in {out}")
    for row in table.iter_rows(named=True):
        typer.echo("  {label}: {train} train, {validation} validation, {test} test".format(**row))
    for note in result.notes:
        typer.echo(note)


_BEGINNING = 1000
"""Bytes of a file that tell whether an audit wrote it."""

_AUDIT_FILES = {
    "audit.html": "<title>Audit of ",
    "findings.csv": "severity,kind,paths,detail\n",
    "similar.csv": "first,second,",
    "findings.json": "[",
}
"""What an audit writes, and what stands near the beginning of each."""


def _refuse_used(folder: Path, force: bool) -> None:
    """Refuse a folder that holds anything, and with force one in which a person's file has a name of ours."""
    from erythron.errors import UsageError

    if not force and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder; name another or give --force")
    for name, mark in _AUDIT_FILES.items():
        path = folder / name
        if path.exists() and not (path.is_file() and mark.encode() in path.read_bytes()[:_BEGINNING]):
            raise UsageError(f"{path}: is not as an audit writes it; move it away, or name another folder")
