"""The command line: one thin file a command, which checks options and calls one function of the package.

stdout carries the result, stderr progress and messages. Exit status: 0 done, 1 some inputs failed or results
could not be written, 2 wrong usage, 130 interrupted by Ctrl-C or SIGTERM. Nothing heavy is imported before a
command needs it: everywhere in the package an import that only some calls need stands in the function that
needs it, and nothing else loads late.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from erythron import __version__
from erythron.cli import (
    classify,
    compare,
    convert,
    count,
    data,
    demo,
    doctor,
    draw_field,
    evaluate,
    experiment,
    export,
    extract,
    import_labels,
    mask,
    recount,
    review,
    schema,
    train,
)
from erythron.cli.terminal import make_writable
from erythron.errors import ErythronError, UsageError, describe_os_error
from erythron.files.naming import as_text
from erythron.interrupts import INTERRUPTED, MESSAGE, end_at_once, is_interrupted, raise_interrupt

app = typer.Typer(
    name="erythron",
    help="Count erythroid precursors in bone-marrow smears by maturation stage. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("count")(count.count)
app.command("classify")(classify.classify)
app.command("mask")(mask.mask)
app.command("compare")(compare.compare)
app.command("extract")(extract.extract)
app.command("convert")(convert.convert)
app.command("recount")(recount.recount)
app.command("review")(review.review)
app.command("import")(import_labels.import_labels)
app.add_typer(data.data_app, name="data")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("experiment")(experiment.experiment)
app.command("export")(export.export)
app.command("draw-field")(draw_field.draw_field)
app.command("schema")(schema.schema)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)

log = logging.getLogger("erythron.cli")

_OBJECTS_BEFORE_COLLECTION = 50_000


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"erythron {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log tracebacks and details to stderr.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if verbose else logging.CRITICAL,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("erythron").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    log.info("erythron %s: %s", __version__, as_text(" ".join(sys.argv[1:])))


def main() -> None:
    """Run the command line as a process of its own."""
    _hasten_start()
    make_writable(sys.stdout, sys.stderr)
    raise_interrupt()
    try:
        run_command()
    finally:
        end_at_once()
        # The process ends: a last walk over every object that it holds would free nothing sooner.
        gc.freeze()


def run_command(words: Sequence[str] | None = None) -> None:
    """Run one command; every foreseen error ends in one line on stderr and its exit status.

    Args:
        words: of the command line, without the program's name; None are those of the process.

    Raises:
        SystemExit: always, with the exit status.
    """
    try:
        app(words)
    except (SystemExit, KeyboardInterrupt) as ending:
        # A library may make an exit of its own of an interrupt, as Lightning does.
        code = INTERRUPTED if isinstance(ending, KeyboardInterrupt) else ending.code
        if code != INTERRUPTED and not (code and is_interrupted()):
            raise
        typer.echo(MESSAGE, err=True)
        raise SystemExit(INTERRUPTED) from ending
    except UsageError as error:
        typer.echo(f"erythron: {error}", err=True)
        raise SystemExit(2) from error
    except ErythronError as error:
        log.debug("traceback", exc_info=True)
        typer.echo(f"erythron: {error}", err=True)
        raise SystemExit(1) from error
    except OSError as error:
        log.debug("traceback", exc_info=True)
        typer.echo(f"erythron: {describe_os_error(error)}", err=True)
        raise SystemExit(1) from error


def _hasten_start() -> None:
    """Leave out what only costs time when the process is young; each line says what it saves of 2 s."""
    # 0.05 s: Python's own threshold walks all modules again and again while they load, and frees nothing.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    # 0.19 s: OpenVINO imports its model converter, with telemetry, where it can; no command converts.
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
