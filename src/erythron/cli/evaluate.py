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
    """Show what a run is worth on cells that it was not trained on (needs the extra 'train')."""
    import json
    from dataclasses import asdict

    from erythron.cli.progress import show_stages
    from erythron.cli.train import require_torch

    require_torch()
    from erythron.train.shared.evaluation import FOLDER, compare_runs, dump_evaluation
    from erythron.train.trainer import evaluate as evaluate_run

    with show_stages() as progress:
        result = evaluate_run(run, progress)
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
    calibration = result.calibration
    typer.echo(
        f"temperature {calibration.temperature:.3f}, unclassified below {calibration.threshold:.3f}: "
        f"{calibration.rule}"
    )
    for name, of_set in result.by_set.items():
        values = (of_set.erythroid_auc, of_set.unseen_erythroid_auc)
        seen, unseen = ("  –  " if v is None else f"{v:.4f}" for v in values)
        typer.echo(f"{name}: erythroid or not, AUC {seen} (cells not seen), {unseen} (whole set not seen)")
        for whose, figures in (("its own cells", of_set.own), ("judged cells of others", of_set.judged)):
            for kind, both in figures.items():
                if both.without is not None and both.with_source is not None:
                    typer.echo(
                        f"  {kind} of {whose}: {both.with_source:.3f} with its laboratory, "
                        f"{both.without:.3f} without"
                    )
    typer.echo(f"Stored: {run / FOLDER}" if result.is_new else f"Read from {run / FOLDER}: evaluated before")
