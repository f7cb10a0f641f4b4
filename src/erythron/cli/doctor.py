"""``erythron doctor``."""

from __future__ import annotations

import typer

from erythron.cli.options import Json, Model


def doctor(model: Model = None, as_json: Json = False) -> None:
    """Check this installation: versions, runtime, the model's self-test, and what is missing."""
    import json
    from dataclasses import asdict

    from erythron.pipeline.checkup import examine

    checkup = examine(model)
    if as_json:
        typer.echo(
            json.dumps({"healthy": checkup.healthy, "checks": [asdict(check) for check in checkup.checks]})
        )
    else:
        for check in checkup.checks:
            typer.echo(f"{check.state:<8} {check.name}: {check.detail}")
        typer.echo(
            "erythron can count on this machine"
            if checkup.healthy
            else "erythron cannot count on this machine"
        )
    raise typer.Exit(0 if checkup.healthy else 1)
