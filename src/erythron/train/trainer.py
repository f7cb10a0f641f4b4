"""The one way from a recipe to a run, from a run to its evaluation and to a bundle, whatever its kind."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from erythron.bundle.folder import Bundle
from erythron.errors import UsageError
from erythron.files.locking import lock_folder
from erythron.train.classifier.fine_tuned.cell_set import cache_beside
from erythron.train.classifier.fine_tuned.evaluate import evaluate_fine_tuned
from erythron.train.classifier.fine_tuned.export import describe_fine_tuned
from erythron.train.classifier.fine_tuned.run import train_run
from erythron.train.classifier.frozen.export import describe_frozen
from erythron.train.classifier.frozen.train import train_frozen
from erythron.train.recipe import FrozenRecipe, Recipe
from erythron.train.shared.bundle_writer import write_bundle
from erythron.train.shared.evaluation import Evaluation, read_evaluation
from erythron.train.shared.hardware import THIS_MACHINE, Hardware, find_rank
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import RunRecord, read_record
from erythron.train.shared.sets import join_split, open_sets


def train(
    recipe: Recipe, out: Path, hardware: Hardware = THIS_MACHINE, progress: Progress = no_progress
) -> RunRecord:
    """Train what a recipe says on the sets that it names; given again, an interrupted run goes on.

    Args:
        recipe: of either kind.
        out: folder of the run.
        hardware: where to compute.
        progress: called after each cell that is outlined, and each epoch or fold.

    Raises:
        UsageError: a set cannot be found, the folder holds something else, another training writes there, or
            the hardware does not fit the kind.
        DataError: a set cannot be read, is not split where it has to be, or leaks.
        MissingExtraError: a package that the recipe or an option asks for is not installed.
    """
    if isinstance(recipe, FrozenRecipe):
        if hardware != Hardware(threads=hardware.threads):
            raise UsageError(
                f"{recipe.name}: a frozen encoder is computed on the CPU of one machine; of the options of "
                "the hardware it takes --threads alone"
            )
        with lock_folder(out):
            return train_frozen(recipe, out, hardware.threads, progress)
    # Of processes that train together the first keeps others out.
    with lock_folder(out) if find_rank() == 0 else nullcontext():
        rows = join_split(open_sets(recipe.sets))
        cache = cache_beside(recipe.sets[0].data) if len(recipe.sets) == 1 else None
        return train_run(recipe, rows, out, hardware, progress, cache)


def evaluate(run: Path, progress: Progress = no_progress) -> Evaluation:
    """Return the evaluation of a finished run.

    A frozen encoder was evaluated when it was trained, by out-of-fold calls. The test part of a fine-tuned
    network is called now, once.

    Args:
        run: its folder.
        progress: called after each cell that has to be outlined again.

    Raises:
        DataError: the folder is no finished run, or its test part is empty.
        UsageError: its test part was evaluated with other weights.
    """
    if isinstance(read_record(run).recipe, FrozenRecipe):
        return read_evaluation(run)
    return evaluate_fine_tuned(run, progress)


def export(run: Path, out: Path) -> Bundle:
    """Write the bundle of a finished and evaluated run.

    Args:
        run: its folder.
        out: folder of the bundle; must not be there.

    Raises:
        UsageError: the output is there, or the network does not see the image.
        DataError: the run is not finished or not evaluated.
        BundleError: the exported network does not say what torch's says.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; name a new folder")
    record = read_record(run)
    recipe = record.recipe
    part = describe_frozen(run, recipe) if isinstance(recipe, FrozenRecipe) else describe_fine_tuned(run)
    return write_bundle(run, record, part, out)
