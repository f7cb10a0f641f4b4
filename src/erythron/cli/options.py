"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cells.class_map import CLASS_MAP_HELP
from erythron.cli.engine import Engine
from erythron.differential.me_ratio import MERatio

Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.", show_default=False),
]


def read_within(low: float, high: float) -> Callable[[str | float], float]:
    """Return what reads a number within limits, with a point or a comma before its decimals."""

    def number(given: str | float) -> float:
        text = str(given)
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            value = float(text)
        except ValueError as error:
            raise typer.BadParameter(f"{given!r} is no number; write it as 2.5 or 2,5") from error
        if not low <= value <= high:
            raise typer.BadParameter(f"{value:g} is not from {low:g} to {high:g}")
        return value

    return number


Mpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        metavar="F",
        help="Microns per pixel; wins over what the files say.",
        parser=read_within(0.01, 10.0),
    ),
]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="BUNDLE", help="Model bundle; the shipped one by default.")
]
Runtime = Annotated[
    RuntimeKind,
    typer.Option(
        "--runtime",
        help="What computes the networks: OpenVINO on the CPU, or ONNX Runtime on CUDA, CoreML or DirectML, "
        "whichever is installed, else on the CPU.",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", metavar="FILE.toml", help="Reference ranges; shipped ones by default."),
]
Width = Annotated[
    float,
    typer.Option(
        "--width",
        metavar="P",
        help="Width of a stage's interval, in percentage points, that 'count more' aims at.",
        parser=read_within(0.1, 99.0),
    ),
]
MyeloidRatio = Annotated[
    MERatio,
    typer.Option(
        "--me-ratio",
        help="What M:E counts over erythroblasts: granulocytes, monocytes and their precursors, as the ICSH "
        "defines it, or granulocytes and their precursors alone.",
    ),
]
Cells = Annotated[
    int | None,
    typer.Option(
        "--cells",
        metavar="N",
        help="On slides, count the best areas until there are so many nucleated cells; 500 by default.",
        min=1,
    ),
]
Whole = Annotated[bool, typer.Option("--all", help="Count the whole of each slide but its empty glass.")]
Region = Annotated[
    Path | None,
    typer.Option(
        "--region",
        metavar="FILE.geojson",
        help="Count inside these polygons of the slide, as QuPath exports annotations.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", help="Of whatever is sampled on a slide; another one samples others.", min=0)
]
TilePx = Annotated[
    int | None,
    typer.Option(
        "--tile-px",
        metavar="N",
        help="Side of the tiles of a slide in pixels, the unit of work and of what an interrupted run keeps; "
        "it changes no result.",
        min=256,
        max=8192,
    ),
]
EngineChoice = Annotated[
    Engine, typer.Option("--engine", help="Where to count: on this machine, or on a Ray cluster.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="Of the Ray cluster, such as ray://HOST:10001; one on this machine by default.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that count, each on one core; one on all cores by default, and on a Ray cluster one "
        "for each core of it.",
        min=1,
    ),
]
ClassMap = Annotated[list[str] | None, typer.Option("--class-map", metavar="NAME=CLASS", help=CLASS_MAP_HELP)]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a setting of the recipe, such as fit.epochs=20."
    ),
]
Devices = Annotated[
    int, typer.Option("--devices", min=0, help="GPUs of this machine; 0 takes one, or what torchrun started.")
]
Machines = Annotated[int, typer.Option("--machines", min=1, help="Machines that train together.")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Lightning's name, such as bf16-mixed; 'auto' is bf16 or fp16 on a GPU, else 32 bit.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each process.")]
ReadAhead = Annotated[int, typer.Option("--workers", min=0, help="Processes that read ahead.")]
Logger = Annotated[
    list[str] | None,
    typer.Option(
        "--logger",
        help="csv, tensorboard or the class name of a logger of Lightning; repeat for several.",
    ),
]


class SplitKind(StrEnum):
    """Where the parts of a split come from: made by group, or as the set was published."""

    GROUPED = "grouped"
    PUBLISHED = "published"


class CheckpointKind(StrEnum):
    """What a training run keeps, as the trainer names it; here so that the command starts without torch."""

    LAST = "last"
    BEST = "best"
    WEIGHTS = "weights"
    NONE = "none"


Checkpoints = Annotated[
    CheckpointKind,
    typer.Option(
        "--checkpoint",
        help="What the run of a fine-tuned network keeps: 'last', from which an interrupted run goes on, the "
        "'best' epoch's weights, the newest 'weights' alone, or 'none'.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace results that are there already.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
