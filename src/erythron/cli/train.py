"""``erythron train``: a network by a recipe, or the model that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json

train_app = typer.Typer(
    help="Train a network by a recipe on a manifest; 'train default' makes the model that ships.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Devices = Annotated[
    int, typer.Option(min=0, help="GPUs of this machine; 0 takes one, or what torchrun started.")
]
Precision = Annotated[
    str,
    typer.Option(help="Lightning's name, such as bf16-mixed; 'auto' is bf16 or fp16 on a GPU, else 32 bit."),
]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of each process.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read ahead.")]


@train_app.callback(no_args_is_help=False)
def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe (default, paper, small …) or a TOML file.")
    ] = "default",
    data: Annotated[
        str | None, typer.Option("--data", metavar="MANIFEST", help="Manifest with a split, Parquet or CSV.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting, such as fit.epochs=20."),
    ] = None,
    devices: Devices = 0,
    machines: Annotated[int, typer.Option(min=1, help="Machines that train together.")] = 1,
    precision: Precision = "auto",
    threads: Threads = 2,
    workers: Workers = 0,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            "--logger", help="csv, tensorboard or a Lightning logger's class name; repeat for several."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network by a recipe (needs the extra 'train'); given again, it goes on where it was cut off."""
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise typer.BadParameter("give --data MANIFEST and --out RUN")
    import json

    from erythron.cli.progress import show_stages

    require_torch()
    from erythron.datasets.manifest import verify_split
    from erythron.train.cellset import cache_beside
    from erythron.train.datasets import load_rows
    from erythron.train.recipe import load_recipe, parse_settings, vary_recipe
    from erythron.train.run import Hardware, train_run

    chosen = vary_recipe(load_recipe(recipe), parse_settings(settings or []))
    rows = load_rows(data)
    verify_split(rows)
    hardware = Hardware(
        devices=devices,
        machines=machines,
        precision=precision,
        threads=threads,
        workers=workers,
        loggers=tuple(logger or ("csv", "tensorboard")),
    )
    with show_stages() as progress:
        record = train_run(chosen, rows, out, hardware, progress, cache_beside(data))
    if as_json:
        typer.echo(
            json.dumps(
                {"out": str(out), "epochs": record.epochs_run, "seconds": record.seconds, **record.metrics}
            )
        )
        return
    for name, value in sorted(record.metrics.items()):
        typer.echo(f"{name:<22} {value:.4f}")
    typer.echo(f"{record.epochs_run} epochs of {record.cells} cells in {record.seconds:.0f} s: {out}")


@train_app.command("default")
def train_default_model(
    data: Annotated[
        Path, typer.Option("--data", envvar="ERYTHRON_DATA_DIR", help="Folder that holds the public sets.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="BUNDLE", help="Folder of the bundle; results go beside it.")
    ],
    segmenter: Annotated[
        Path | None,
        typer.Option("--segmenter", metavar="BUNDLE", help="Take this bundle's segmenter; fit none."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the grouped cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, sampling and augmentation.")] = 0,
    cross_validate_only: Annotated[
        bool, typer.Option("--cross-validate-only", help="Measure, but make no bundle.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the model that ships and measure it by grouped cross-validation (needs the extra 'train')."""
    import json

    require_torch()
    from erythron.train.default_model import DefaultTrainingConfig, train_default

    result = train_default(
        DefaultTrainingConfig(
            data, out, segmenter, folds=folds, seed=seed, cross_validate_only=cross_validate_only
        )
    )
    if as_json:
        measured = {**result.figures, **result.dice}
        figures = {name: figure.model_dump() for name, figure in measured.items()}
        bundle = None if result.bundle is None else str(result.bundle)
        typer.echo(json.dumps({"figures": figures, "results": str(result.results), "bundle": bundle}))
        return
    for name, figure in {**result.figures, **result.dice}.items():
        typer.echo(f"{name:<24} {figure.value:.3f}  ({figure.low:.3f} – {figure.high:.3f})")
    typer.echo(f"{'pbc_erythroid_auc':<24} {result.blood_auc:.4f}")
    for name, value in result.unseen_auc.items():
        typer.echo(f"erythroid AUC on {name}, its head fitted on the other set alone: {value:.4f}")
    typer.echo(f"Results: {result.results}")
    if result.bundle is not None:
        typer.echo(f"Bundle: {result.bundle}")


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
