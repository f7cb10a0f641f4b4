"""``erythron train``: what a recipe says, on the sets that it names."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json, Model

DEFAULT_RECIPE = "default"


class CheckpointKind(StrEnum):
    """What a run keeps, as the recipe's trainer names it; here so that the command starts without it."""

    LAST = "last"
    BEST = "best"
    WEIGHTS = "weights"
    NONE = "none"


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="Name of a recipe (default, fine-tuned, paper, small …) or a TOML file.",
            show_default=DEFAULT_RECIPE,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run.")] = None,
    named: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="The same as the argument RECIPE.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="SET",
            help="One set in place of the recipe's: a registered name, a manifest or a folder.",
        ),
    ] = None,
    add_set: Annotated[
        list[str] | None,
        typer.Option("--add-set", metavar="SET", help="A further set beside those; repeat for several."),
    ] = None,
    from_review: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-review",
            metavar="RESULTS",
            help="Fit the bundle anew with the cells that persons have called in a count; repeat for "
            "several. Takes no recipe.",
        ),
    ] = None,
    model: Model = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting, such as fit.epochs=20."),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=0, help="GPUs of this machine; 0 takes one, or what torchrun started.")
    ] = 0,
    machines: Annotated[int, typer.Option(min=1, help="Machines that train together.")] = 1,
    precision: Annotated[
        str,
        typer.Option(
            help="Lightning's name, such as bf16-mixed; 'auto' is bf16 or fp16 on a GPU, else 32 bit."
        ),
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each process.")] = 2,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read ahead.")] = 0,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            "--logger", help="csv, tensorboard or a Lightning logger's class name; repeat for several."
        ),
    ] = None,
    checkpoint: Annotated[
        CheckpointKind,
        typer.Option(
            help="What a fine-tuned network's run keeps: 'last', from which an interrupted run goes on, the "
            "'best' epoch's weights, the newest 'weights' alone, or 'none'."
        ),
    ] = CheckpointKind.LAST,
    as_json: Json = False,
) -> None:
    """Train what a recipe says (needs the extra 'train'); given again, it goes on where it was cut off."""
    import json

    from erythron.cli.progress import show_stages

    if out is None:
        raise typer.BadParameter("give --out RUN, the folder of the run")
    if from_review:
        if recipe or named or data or add_set or settings:
            raise typer.BadParameter(
                "--from-review fits a bundle anew as it was fitted; it takes no recipe, set or setting"
            )
        learn_from_review(from_review, model, out, threads=threads, as_json=as_json)
        return
    if model is not None:
        raise typer.BadParameter("--model is the bundle that learns from a review; give --from-review too")
    if recipe is not None and named is not None:
        raise typer.BadParameter("name the recipe once, as the argument or by --recipe")
    require_torch()
    from erythron.train.recipe_file import add_set as add_one
    from erythron.train.recipe_file import load_recipe, parse_settings, replace_sets, vary_recipe
    from erythron.train.shared.hardware import Checkpoint, Hardware
    from erythron.train.trainer import train as train_recipe

    chosen = load_recipe(recipe or named or DEFAULT_RECIPE)
    if data is not None:
        chosen = replace_sets(chosen, data)
    for further in add_set or ():
        chosen = add_one(chosen, further)
    chosen = vary_recipe(chosen, parse_settings(settings or []))
    hardware = Hardware(
        devices=devices,
        machines=machines,
        precision=precision,
        threads=threads,
        workers=workers,
        loggers=tuple(logger or Hardware.loggers),
        checkpoint=Checkpoint(checkpoint.value),
    )
    with show_stages() as progress:
        record = train_recipe(chosen, out, hardware, progress)
    if as_json:
        facts = {"kind": chosen.kind, "cells": record.cells, "epochs": record.epochs_run}
        typer.echo(json.dumps({"out": str(out), **facts, "seconds": record.seconds, **record.metrics}))
        return
    for name, value in sorted(record.metrics.items()):
        typer.echo(f"{name:<22} {value:.4f}")
    epochs = "" if record.epochs_run is None else f"{record.epochs_run} epochs of "
    typer.echo(f"{epochs}{record.cells} cells in {record.seconds:.0f} s: {out}")
    typer.echo(f"Figures: erythron evaluate {out}; bundle: erythron export {out} --out BUNDLE")


def learn_from_review(
    runs: Sequence[Path], model: Path | None, out: Path, *, threads: int, as_json: bool
) -> None:
    """Fit a bundle anew with the cells that persons have called, and say what got better and what worse.

    Raises:
        MissingExtraError: the extra 'train' is not installed.
    """
    import json
    from dataclasses import asdict

    from erythron.cli.progress import show_stages

    require_torch()
    from erythron.bundle.folder import load_bundle
    from erythron.files.locking import lock_folder
    from erythron.train.classifier.frozen.from_review import train_from_review

    with show_stages() as progress, lock_folder(out):
        record, found = train_from_review(runs, load_bundle(model), out, threads, progress)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "seconds": record.seconds, **asdict(found)}))
        return
    kept = {
        "specimen": "specimens kept whole",
        "field": "fields kept whole; cells of one specimen are alike, so this flatters",
        "cell": "cells of one field lie on both sides, so this flatters",
    }[found.apart_by]
    typer.echo(f"{found.cells} cells that were called, each judged by a fit on the others ({kept})")
    lines = {name.replace("_", " ").capitalize(): line for name, line in found.by_class.items()}
    lines["Called as the reader does"] = (found.cells, found.right_before, found.right_after)
    typer.echo(f"{'':<30}{'cells':>7}{'before':>8}{'after':>8}")
    for name, (cells, before, after) in lines.items():
        typer.echo(f"{name:<30}{cells:>7}{before:>8}{after:>8}")
    typer.echo(
        f"{found.better} got better, {found.worse} worse: exact McNemar test, p = {found.probability:.2g}; "
        f"each cell stands in {out / 'evaluation' / 'before_after.csv'}"
    )
    typer.echo(f"If you want it: erythron export {out} --out BUNDLE, then erythron count ... --model BUNDLE")


def require_torch() -> None:
    """Check that the extra 'train' is there.

    Raises:
        MissingExtraError: it is not.
    """
    from erythron.errors import MissingExtraError

    try:
        import lightning  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "train models") from error
