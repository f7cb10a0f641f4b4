"""``erythron experiment``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import (
    CheckpointKind,
    Checkpoints,
    ClassMap,
    Devices,
    Json,
    Logger,
    Machines,
    Precision,
    ReadAhead,
    Settings,
    SplitKind,
    Threads,
)


class ExperimentName(StrEnum):
    """Experiments that can be run."""

    BASELINES = "baselines"
    ABLATION = "ablation"
    GENERALISATION = "generalisation"
    PAPER = "paper"


def experiment(
    name: Annotated[ExperimentName, typer.Argument(help="Which grid of runs.")],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="SET",
            help="A registered name, a manifest, folder or archive; repeat for several.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder; each set has its own inside.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds, each with its own folds.")] = 3,
    folds: Annotated[
        int,
        typer.Option(min=0, help="Folds of the grouped cross-validation; 0 takes the manifest's own split."),
    ] = 3,
    split: Annotated[
        SplitKind,
        typer.Option(
            help="'published' trains on the set's own training part and judges its validation once, by the "
            "last epoch and by the one that was best on it."
        ),
    ] = SplitKind.GROUPED,
    class_map: ClassMap = None,
    arm: Annotated[
        list[str] | None, typer.Option("--arm", help="Only this row of the table; repeat for several.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Base recipe instead of the experiment's own, by name or TOML file.")
    ] = None,
    settings: Settings = None,
    stages_only: Annotated[
        bool, typer.Option("--stages-only", help="Only cells of the four erythroid stages.")
    ] = False,
    devices: Devices = 0,
    machines: Machines = 1,
    precision: Precision = "auto",
    threads: Threads = 2,
    workers: ReadAhead = 0,
    logger: Logger = None,
    checkpoint: Checkpoints = CheckpointKind.LAST,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Only remake the table from the runs that are done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Do a grid of runs with seeds and folds, then one table and figure; goes on where it was cut off."""
    import json

    from erythron.cli.progress import show_stages
    from erythron.cli.train import require_torch

    require_torch()
    from erythron.cells.class_map import parse_class_map
    from erythron.datasets.audit import find_similar_rows
    from erythron.datasets.split import keep_published
    from erythron.train.experiments.grids import EXPERIMENTS, choose_arms
    from erythron.train.experiments.runner import Plan, do_runs
    from erythron.train.experiments.table import (
        list_missing,
        render_table,
        summarise,
        write_curves,
        write_table,
    )
    from erythron.train.folded_sets import name_set
    from erythron.train.recipe_file import load_fine_tuned, parse_settings, vary_recipe
    from erythron.train.shared.hardware import Checkpoint, Hardware, find_rank
    from erythron.train.shared.sets import load_rows

    grid = EXPERIMENTS[name]
    base = vary_recipe(load_fine_tuned(recipe or grid.base), parse_settings(settings or []))
    is_published = split is SplitKind.PUBLISHED
    folds = 0 if is_published else folds
    chosen = Plan(choose_arms(grid, tuple(arm or ())), base, seeds, folds, is_published)
    whole = Plan(grid.arms, base, seeds, folds, is_published)
    hardware = Hardware(
        devices=devices,
        machines=machines,
        precision=precision,
        threads=threads,
        workers=workers,
        loggers=tuple(logger or ("csv",)),
        checkpoint=Checkpoint(checkpoint.value),
    )
    tables = {}
    for source in data:
        folder = out / name_set(source)
        if not table_only:
            rows = load_rows(source, stages_only, parse_class_map(class_map or ()))
            if is_published:
                kept = keep_published(rows, find_similar_rows(rows))
                rows = kept.rows
                for note in kept.notes:
                    typer.echo(note, err=True)
            with show_stages() as progress:
                do_runs(chosen, rows, folder, hardware, progress)
        if find_rank() != 0:
            # Of processes that train together the first alone writes and prints the table.
            continue
        results, missing = summarise(whole, folder), list_missing(whole, folder)
        write_table(results, missing, folder)
        write_curves(whole, folder)
        tables[folder.name] = {"table": str(folder / "table.csv"), "missing": len(missing)}
        if not as_json:
            typer.echo(f"{folder.name}\n\n{render_table(results, missing)}")
    if as_json and find_rank() == 0:
        typer.echo(json.dumps(tables))
