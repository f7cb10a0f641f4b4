"""``erythron review``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Model, Mpp
from erythron.errors import MissingExtraError, UsageError

_PASSWORD = "ERYTHRON_REVIEW_PASSWORD"  # noqa: S105 - name of a variable


def review(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR|IMAGE...",
            help="Output folder of erythron count; or images, which are counted first.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the results of images that are counted first."),
    ] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="NAME", help="Who reviews; your login by default.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port; any that is free by default.", min=0, max=65535)
    ] = 0,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address; others than 127.0.0.1 need a password."),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Name by which browsers may ask for it; repeatable."),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help=f"File that holds the password of readers on other machines; else {_PASSWORD}.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database", metavar="URL", help="Database in SQLAlchemy's spelling; RUN_DIR/review.sqlite."
        ),
    ] = None,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="Each reader calls the cells without seeing the calls of others, until done."
        ),
    ] = False,
    upload_mb: Annotated[
        int,
        typer.Option(
            "--upload-mb", metavar="N", help="Megabytes of a picture that is sent.", min=1, max=4000
        ),
    ] = 400,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    mpp: Mpp = None,
    model: Model = None,
) -> None:
    """Confirm or correct the calls of a finished count in the browser, and sign the result.

    Every change is stored before the page says so, with who made it and when. The page is served on this
    machine alone, unless --host and a password say otherwise. Ctrl-C ends it (needs the extra 'review').
    """
    try:
        from erythron.review_page.server import ServerOptions, serve_review
    except ImportError as error:
        raise MissingExtraError("review", "show the review page") from error
    import getpass
    import logging

    logging.getLogger("erythron.notices").setLevel(logging.WARNING)  # without --verbose too
    run = _find_run(inputs, out, mpp, model)
    options = ServerOptions(
        reader=reader or getpass.getuser(),
        host=host,
        port=port,
        password=_read_password(password_file),
        database=database,
        names=tuple(name or ()),
        is_blind=blind,
        most_upload_bytes=upload_mb * 1_000_000,
    )

    def announce(link: str) -> None:
        typer.echo(link)
        typer.echo("The link opens the review once. Ctrl-C ends the server.", err=True)
        if browser:
            import webbrowser

            webbrowser.open(link)

    serve_review(run, options, announce)


def _read_password(path: Path | None) -> str | None:
    """Return the password of readers on other machines; None where none is given."""
    if path is None:
        return os.environ.get(_PASSWORD) or None
    try:
        password = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--password-file {path} cannot be read ({error})") from error
    if not password:
        raise UsageError(f"--password-file {path} is empty; write the password into it")
    return password


def _find_run(inputs: list[Path], out: Path | None, mpp: float | None, model: Path | None) -> Path:
    """Return the folder of the run, counted first where images are given."""
    from erythron.results.run import RUN

    if len(inputs) == 1 and out is None and (inputs[0] / RUN).is_file():
        if mpp is not None or model is not None:
            raise UsageError("--mpp and --model are of images that are counted first; this run is counted")
        return inputs[0]
    if out is None:
        raise UsageError(
            f"{inputs[0]}: holds no finished count; name the --out folder of erythron count, or say with "
            "--out where to count these images"
        )
    from erythron.cli.progress import gather_images, show_progress
    from erythron.pipeline.count import count_images
    from erythron.pipeline.options import RunOptions

    found = gather_images(inputs, out)
    with show_progress("Counting", len(found)) as progress:
        done = count_images(found, out, RunOptions(model, mpp), progress)
    if done.failures:
        from erythron.cli.progress import show_failures

        show_failures([failure.reason for failure in done.failures])
    return out
