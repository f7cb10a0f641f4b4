"""``erythron evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training run.")],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="RUN", help="Another evaluated run; compares both on the same cells."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Call the test part of a run once: figures with intervals, pictures, JSON (needs the extra 'train')."""
    import json
    from dataclasses import asdict

    from erythron.cli.progress import show_stages
    from erythron.cli.train import require_torch

    require_torch()
    from erythron.train.evaluate import FOLDER, compare_runs, dump_evaluation, evaluate_run

    with show_stages() as progress:
        result = evaluate_run(run, progress=progress)
    comparison = None if against is None else compare_runs(run, against)
    if as_json:
        content = json.loads(dump_evaluation(result))
        if comparison is not None:
            differences = {k: getattr(comparison, k).model_dump() for k in ("accuracy", "macro_f1")}
            content["comparison"] = {**asdict(comparison), **differences, "against": str(against)}
        typer.echo(json.dumps(content))
        return
    for name, figure in result.scores.figures.items():
        typer.echo(f"{name:<20} {figure.value:.3f}  ({figure.low:.3f} – {figure.high:.3f})")
    for c in result.scores.classes:
        precision, recall = ("  –  " if v is None else f"{v:.3f}" for v in (c.precision, c.recall))
        typer.echo(f"{c.name:<28} {c.cells:>5} cells  precision {precision}  recall {recall}")
    if comparison is not None:
        d = comparison.accuracy
        typer.echo(
            f"accuracy minus that of {against}: {d.value:+.3f} ({d.low:+.3f} – {d.high:+.3f}), "
            f"McNemar p {comparison.mcnemar_p:.3f} ({comparison.only_first} : {comparison.only_second})"
        )
    typer.echo(f"Stored: {run / FOLDER}" if result.is_new else f"Read from {run / FOLDER}: evaluated before")
