"""``erythron train``: what a recipe says, on the sets that it names."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.cli.options import (
    CheckpointKind,
    Checkpoints,
    Devices,
    Json,
    Logger,
    Machines,
    Model,
    Precision,
    ReadAhead,
    Settings,
    Threads,
)

if TYPE_CHECKING:
    from erythron.train.recipe import Recipe
    from erythron.train.segmenter.from_review import LearnedOutlines

DEFAULT_RECIPE = "default"


class SetChoice(StrEnum):
    """Which sets a recipe is trained on."""

    RECIPE = "recipe"
    ALL = "all"


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
            help="Fit the bundle anew with the cells that persons have called in a count, given by its "
            "folder or the review's database in it; repeat for several. Takes no recipe.",
        ),
    ] = None,
    outlines: Annotated[
        bool | None,
        typer.Option(
            "--outlines/--no-outlines",
            help="With --from-review, whether the segmentation network learns from outlines that persons "
            "corrected.",
            show_default="where at least 20 were corrected",
        ),
    ] = None,
    model: Model = None,
    sets: Annotated[
        SetChoice,
        typer.Option(
            help="'all': beside the recipe's sets every registered one that is here. Each laboratory is left "
            "out once, and the card says what each set adds."
        ),
    ] = SetChoice.RECIPE,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="With --sets all, first download what is not here; sizes are said before."
        ),
    ] = False,
    leave_one_out: Annotated[
        bool | None,
        typer.Option(
            "--leave-one-out/--no-leave-one-out",
            help="Train without each laboratory in turn too, to say what it adds; most of the fits of a "
            "frozen encoder.",
            show_default="as the recipe says",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="DIR", help="Evaluate the run and export its bundle there too."),
    ] = None,
    settings: Settings = None,
    devices: Devices = 0,
    machines: Machines = 1,
    precision: Precision = "auto",
    threads: Threads = 2,
    workers: ReadAhead = 0,
    logger: Logger = None,
    checkpoint: Checkpoints = CheckpointKind.LAST,
    as_json: Json = False,
) -> None:
    """Train what a recipe says (needs the extra 'train'); given again, it goes on where it was cut off."""
    import json

    from erythron.cli.progress import show_stages

    if out is None:
        raise typer.BadParameter("give --out RUN, the folder of the run")
    if bundle is not None and bundle.exists():
        raise typer.BadParameter(f"{bundle}: is there already; name a new folder for the bundle")
    if fetch and sets is not SetChoice.ALL:
        raise typer.BadParameter("--fetch downloads what --sets all takes; give that too")
    if data is not None and sets is SetChoice.ALL:
        raise typer.BadParameter("--data is one set in place of all; give it or --sets all")
    if from_review:
        if recipe or named or data or add_set or settings or bundle or sets is SetChoice.ALL:
            raise typer.BadParameter(
                "--from-review fits a bundle anew as it was fitted; it takes no recipe, set or setting"
            )
        learn_from_review(from_review, model, out, outlines, threads=threads, as_json=as_json)
        return
    if outlines is not None:
        raise typer.BadParameter("--outlines are those of a review; give --from-review too")
    if model is not None:
        raise typer.BadParameter("--model is the bundle that learns from a review; give --from-review too")
    if recipe is not None and named is not None:
        raise typer.BadParameter("name the recipe once, as the argument or by --recipe")
    require_torch()
    from erythron.train.recipe_file import add_set as add_one
    from erythron.train.recipe_file import (
        load_recipe,
        name_changed,
        parse_settings,
        replace_sets,
        vary_recipe,
    )
    from erythron.train.shared.hardware import Checkpoint, Hardware, find_rank
    from erythron.train.shared.run_folder import FinishedRunError, read_record
    from erythron.train.trainer import evaluate, export
    from erythron.train.trainer import train as train_recipe

    given = chosen = load_recipe(recipe or named or DEFAULT_RECIPE)
    if data is not None:
        chosen = replace_sets(chosen, data)
    if sets is SetChoice.ALL:
        chosen = gather_sets(chosen, fetch=fetch)
    for further in add_set or ():
        chosen = add_one(chosen, further)
    chosen = name_changed(vary_recipe(chosen, parse_settings(settings or [])), given)
    if leave_one_out is not None:
        chosen = vary_recipe(chosen, {"leave_one_out": leave_one_out})
    hardware = Hardware(
        devices=devices,
        machines=machines,
        precision=precision,
        threads=threads,
        workers=workers,
        loggers=tuple(logger or Hardware.loggers),
        checkpoint=Checkpoint(checkpoint.value),
    )
    try:
        with show_stages() as progress:
            record = train_recipe(chosen, out, hardware, progress)
    except FinishedRunError:
        # A command that was cut off after the training has its bundle still to make.
        if bundle is None:
            raise
        record = read_record(out)
    made = bundle is not None and find_rank() == 0
    if bundle is not None and made:
        with show_stages() as progress:
            evaluate(out, progress)
            export(out, bundle)
    if as_json:
        facts: dict[str, object] = {
            "kind": chosen.kind,
            "cells": record.cells,
            "epochs": record.epochs_run,
        }
        if made:
            facts["bundle"] = str(bundle)
        typer.echo(json.dumps({"out": str(out), **facts, "seconds": record.seconds, **record.metrics}))
        return
    for name, value in sorted(record.metrics.items()):
        typer.echo(f"{name:<22} {value:.4f}")
    epochs = "" if record.epochs_run is None else f"{record.epochs_run} epochs of "
    typer.echo(f"{epochs}{record.cells} cells in {record.seconds:.0f} s: {out}")
    if made:
        typer.echo(f"Bundle: {bundle}; its card.md says what it is worth and what each set added")
        return
    typer.echo(f"Figures: erythron evaluate {out}; bundle: erythron export {out} --out BUNDLE")


def gather_sets(recipe: Recipe, *, fetch: bool) -> Recipe:
    """Return a recipe on all registered sets that are here, and say which do not join and why.

    Args:
        recipe: of a frozen encoder.
        fetch: whether those that can be downloaded are, after their sizes are said; one that cannot be is
            named and does not join.

    Raises:
        UsageError: the recipe is of another kind, or no set that is judged is here.
    """
    from erythron.cli.progress import show_bytes, show_downloads, show_failures, stderr
    from erythron.datasets.fetch import fetch_set, plan_download
    from erythron.errors import DataError
    from erythron.train.all_sets import list_wanted, take_all_sets

    if fetch:
        wanted = [s for s in list_wanted(recipe) if s.url is not None]
        show_downloads([download for s in wanted if (download := plan_download(s)) is not None])
        for registered in wanted:
            try:
                with show_bytes(f"Fetching {registered.name}") as progress:
                    fetch_set(registered, progress)
            except DataError as error:
                show_failures([str(error)])
    found = take_all_sets(recipe)
    for note in found.notes:
        stderr.print(note, markup=False)
    joined = ", ".join(entry.data for entry in found.recipe.sets)
    stderr.print(f"sets that are trained on: {joined}", markup=False)
    return found.recipe


def learn_from_review(
    runs: Sequence[Path],
    model: Path | None,
    out: Path,
    outlines: bool | None,
    *,
    threads: int,
    as_json: bool,
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

    # A review's database lies in the folder of its run, in which its calls are once signed.
    runs = [run.parent if run.suffix == ".sqlite" and run.is_file() else run for run in runs]
    say_waiting(runs)
    with show_stages() as progress, lock_folder(out):
        record, found = train_from_review(runs, load_bundle(model), out, threads, progress, outlines)
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
    show_outlines(found.outlines, out)
    typer.echo(f"If you want it: erythron export {out} --out BUNDLE, then erythron count ... --model BUNDLE")


def say_waiting(runs: Sequence[Path]) -> None:
    """Say which runs have calls that no count has taken in, so that nothing is learned from these."""
    try:
        from erythron.review_page.waiting import count_waiting
    except ModuleNotFoundError:  # the review page is not installed here
        return
    for out in runs:
        waiting = count_waiting(out)
        if waiting:
            typer.echo(
                f"{out}: {waiting} changes of its review are not in its results yet, and nothing is learned "
                "from them: sign, or choose 'Count again without signing' on the page",
                err=True,
            )


def show_outlines(learned: LearnedOutlines, out: Path) -> None:
    """Say what got better and what worse by learning from corrected outlines, and whether that is kept."""
    gain = learned.improvement
    if gain is not None:
        kept = {
            "specimen": "specimens kept whole",
            "field": "fields kept whole; fields of one specimen are alike, so this flatters",
            "place": "strips of a field kept apart; cells of one field are alike, so this flatters",
        }[gain.apart_by]
        typer.echo(
            f"\n{gain.corrections} outlines that were corrected, in fields: {gain.fields}; each judged by a "
            f"segmentation network that learned from the others ({kept})"
        )
        names = {
            "drawn": "Drawn cells, found",
            "removed": "No cells, not outlined",
            "accepted": "Accepted cells, found",
        }
        typer.echo(f"{'':<30}{'places':>7}{'before':>8}{'after':>8}")
        for name, (places, before, after) in gain.by_kind.items():
            typer.echo(f"{names[name]:<30}{places:>7}{before:>8}{after:>8}")
        for name, (was, now) in (
            ("Drawn cells, mean Dice", gain.cell_dice),
            ("Their nuclei, mean Dice", gain.nucleus_dice),
        ):
            typer.echo(f"{name:<37}{was:>8.3f}{now:>8.3f}")
        typer.echo(
            f"{gain.better} got better, {gain.worse} worse: exact McNemar test, p = {gain.probability:.2g}; "
            f"Dice of the corrections: Wilcoxon's test, p = {gain.dice_probability:.2g}; each stands in "
            f"{out / 'evaluation' / 'outlines_before_after.csv'}"
        )
        if gain.is_gain:
            typer.echo(
                "That is a gain: the run's segmentation network is the one that learned from all of them"
            )
    if learned.note:
        typer.echo(learned.note)


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
