"""``erythron experiment``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json


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
            "--data", metavar="SET", help="Name of a public set, or a manifest; repeat for several."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder; each set has its own inside.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds, each with its own folds.")] = 3,
    folds: Annotated[
        int,
        typer.Option(min=0, help="Folds of the grouped cross-validation; 0 takes the manifest's own split."),
    ] = 3,
    arm: Annotated[
        list[str] | None, typer.Option("--arm", help="Only this row of the table; repeat for several.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Base recipe instead of the experiment's own, by name or TOML file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting of the base recipe."),
    ] = None,
    stages_only: Annotated[
        bool, typer.Option("--stages-only", help="Only cells of the four erythroid stages.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
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
    from erythron.train.experiments.grids import EXPERIMENTS, choose_arms
    from erythron.train.experiments.runner import Plan, do_runs
    from erythron.train.experiments.table import list_missing, render_table, summarise, write_table
    from erythron.train.folded_sets import name_set
    from erythron.train.recipe_file import load_fine_tuned, parse_settings, vary_recipe
    from erythron.train.shared.hardware import Hardware
    from erythron.train.shared.sets import load_rows

    grid = EXPERIMENTS[name]
    base = vary_recipe(load_fine_tuned(recipe or grid.base), parse_settings(settings or []))
    chosen = Plan(choose_arms(grid, tuple(arm or ())), base, seeds, folds)
    whole = Plan(grid.arms, base, seeds, folds)
    tables = {}
    for source in data:
        folder = out / name_set(source)
        if not table_only:
            rows = load_rows(source, stages_only)
            with show_stages() as progress:
                do_runs(chosen, rows, folder, Hardware(threads=threads, loggers=("csv",)), progress)
        results, missing = summarise(whole, folder), list_missing(whole, folder)
        write_table(results, missing, folder)
        tables[folder.name] = {"table": str(folder / "table.csv"), "missing": len(missing)}
        if not as_json:
            typer.echo(f"{folder.name}\n\n{render_table(results, missing)}")
    if as_json:
        typer.echo(json.dumps(tables))
