"""A training run in one folder: recipe, split, checkpoints, logs, and resuming from them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import lightning.pytorch as lightning
import numpy as np
import polars as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.optim.swa_utils import get_ema_multi_avg_fn

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import MeasurementStatistic
from erythron.datasets.manifest import hash_split
from erythron.errors import DataError, MissingExtraError, UsageError
from erythron.train.classifier.fine_tuned.callbacks import Clock, CurveWriter, Report
from erythron.train.classifier.fine_tuned.cell_set import CACHE_FOLDER, CellSet, prepare_cells
from erythron.train.classifier.fine_tuned.checkpoints import (
    BEST,
    FOLDER,
    LAST,
    keep_checkpoints,
    read_checkpoint,
    refuse_foreign,
)
from erythron.train.classifier.fine_tuned.copies import add_copies
from erythron.train.classifier.fine_tuned.fitting import CellFitting
from erythron.train.classifier.fine_tuned.loader import Share, TrainingLoader, make_plain_loader
from erythron.train.classifier.networks.settings import Pretraining
from erythron.train.classifier.networks.two_branch import CellNetwork, build_network
from erythron.train.recipe import FineTunedRecipe, Selection
from erythron.train.shared.backbones import find_scaling
from erythron.train.shared.curves import CURVES, FIGURE, draw_curves, read_curve
from erythron.train.shared.framed_cells import LEAST_SD, describe_measurements
from erythron.train.shared.hardware import THIS_MACHINE, Hardware, find_processes, find_rank
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import (
    RunRecord,
    claim_folder,
    read_record,
    read_weights,
    store_record,
    store_weights,
)
from erythron.train.shared.segmentation_part import take_segmentation
from erythron.train.shared.sets import describe_data, map_sources

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def train_run(
    recipe: FineTunedRecipe,
    rows: pl.DataFrame,
    out: Path,
    hardware: Hardware = THIS_MACHINE,
    progress: Progress = no_progress,
    cache: Path | None = None,
) -> RunRecord:
    """Train one network on the training part, or go on where an interrupted run of the same recipe stopped.

    The test part is not read. The folder ends up with ``run.json``, ``weights.pt`` (the result's weights,
    tensors alone), ``manifest.parquet``, the segmentation network, ``curves.csv`` and ``curves.png``,
    ``checkpoints/`` and the logs.

    Args:
        recipe: what to train and how.
        rows: a manifest with its split; whether that holds, the caller has checked.
        out: folder of the run.
        hardware: where to compute.
        progress: called after each cell that is outlined and each epoch.
        cache: folder for prepared cells; None is inside ``out``.

    Raises:
        UsageError: the folder holds another run, or a finished one, or what is to be kept does not do.
        DataError: the manifest has no training cells, validation is asked for and there is none, or a
            checkpoint holds more than tensors and plain values.
    """
    torch.set_num_threads(hardware.threads)
    share, split_hash = _find_share(hardware), hash_split(rows)
    if share.rank == 0:
        claim_folder(out, recipe, split_hash, (CACHE_FOLDER,))
    cache = (cache or out / CACHE_FOLDER).absolute()
    cells = prepare_cells(rows, recipe.label_column, recipe.inputs, cache, progress)
    training, validation = (
        cells.take_split(part).select_planes(recipe.network.mask_planes) for part in ("train", "validation")
    )
    _check_parts(training, validation, recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    drawn_from = add_copies(training, recipe.augmentation.copies)
    loader = TrainingLoader(drawn_from, recipe.fit, recipe.seed, share, hardware.workers)
    scaling = find_scaling(recipe.network.image_backbone)
    network = build_network(recipe.network, len(cells.classes), recipe.inputs.px)
    module = CellFitting(network, recipe, scaling, len(loader) // recipe.fit.accumulate)
    module = module.to(memory_format=torch.channels_last)
    clock = Clock()
    callbacks: list[Callback] = [clock, Report(progress), CurveWriter(out)]
    callbacks += keep_checkpoints(
        hardware.checkpoint, recipe.fit, out, has_validation=bool(len(validation.labels))
    )
    trainer = _make_trainer(recipe, hardware, out, share, callbacks)
    last = out / FOLDER / LAST
    with closing(loader), _silence_expected(), refuse_foreign(last):
        try:
            trainer.fit(
                module,
                loader,
                make_plain_loader(validation, recipe.fit.batch_size) if len(validation.labels) else None,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
        except SystemExit as ending:  # what Lightning makes of an interrupt
            if trainer.interrupted:
                raise KeyboardInterrupt from ending
            raise
    _adopt_weights(module, recipe, out)
    record = RunRecord(
        recipe=recipe,
        classes=cells.classes,
        priors=tuple(np.bincount(training.labels, minlength=len(cells.classes)) / len(training.labels)),
        scaling=scaling,
        data=describe_data(training.rows, map_sources(recipe.sets, rows)),
        measurements=_measure(training),
        split_hash=split_hash,
        cells=len(training.labels),
        seconds=round(clock.seconds, 1),
        metrics={k: float(v) for k, v in trainer.callback_metrics.items()},
        epochs_run=trainer.current_epoch,
        cache=str(cache),
    )
    if share.rank == 0:
        draw_curves({recipe.name: read_curve(out / CURVES)}, out / FIGURE)
        store_weights(out, module.network.state_dict(), rows)
        take_segmentation(load_bundle(), out)
        store_record(out, record)
    trainer.strategy.barrier()
    return record


def _measure(training: CellSet) -> tuple[MeasurementStatistic, ...]:
    inputs = training.inputs[training.has_cell]
    if not len(inputs):
        raise DataError("no cell was found in any training image; check their scale")
    return describe_measurements(inputs.mean(axis=0), inputs.std(axis=0) + LEAST_SD)


def load_network(run: Path) -> tuple[CellNetwork, RunRecord]:
    """Return the trained network of a run in evaluation mode, and its record.

    Raises:
        DataError: the folder is no finished run of a fine-tuned network, or its weights do not fit its
            recipe.
    """
    record = read_record(run)
    recipe = find_recipe(record)
    bare = recipe.network.model_copy(update={"pretraining": Pretraining.NONE})
    network = build_network(bare, len(record.classes), recipe.inputs.px)
    try:
        network.load_state_dict(read_weights(run))
    except RuntimeError as error:
        raise DataError(f"{run}: its weights are of another network ({error}); train again") from error
    return network.eval(), record


def find_recipe(record: RunRecord) -> FineTunedRecipe:
    """Return the recipe of a run of a fine-tuned network.

    Raises:
        DataError: it is of another kind.
    """
    if not isinstance(record.recipe, FineTunedRecipe):
        raise DataError(f"the run of recipe '{record.recipe.name}' is of kind {record.recipe.kind}")
    return record.recipe


@contextmanager
def _silence_expected() -> Iterator[None]:
    """Hide what Lightning warns of that is as it should be: no validation part, frozen BatchNorm."""
    with warnings.catch_warnings():
        for message in ("You defined a `validation_step`", "Found .* module.* in eval mode", ".*LeafSpec"):
            warnings.filterwarnings("ignore", message=message)
        yield


def _check_parts(training: CellSet, validation: CellSet, recipe: FineTunedRecipe) -> None:
    if not len(training.labels):
        raise DataError("the manifest has no cells in its part 'train'; split it with: erythron data split")
    missing = set(range(len(training.classes))) - set(training.labels.tolist())
    if len(training.classes) < 2:
        raise DataError(
            f"all cells have the class {training.classes[0]}, so there is nothing to learn to tell apart; "
            "add a set with cells of other classes"
        )
    if missing:
        names = ", ".join(training.classes[i] for i in sorted(missing))
        raise DataError(f"no training cell has the class {names}; split again or drop the class")
    if not len(validation.labels) and (recipe.fit.patience or recipe.fit.select is not Selection.LAST):
        raise DataError(
            "the recipe stops or selects by the validation loss and the manifest has no part 'validation'; "
            "set fit.patience = 0 and fit.select = 'last', or split again"
        )


def _find_share(hardware: Hardware) -> Share:
    """Return this process' part, from what torchrun or SLURM says."""
    processes = find_processes()
    if processes == 1 and hardware.devices > 1:
        raise UsageError(
            f"{hardware.devices} devices need as many processes: start with "
            f"torchrun --nproc-per-node {hardware.devices} -m erythron train ..."
        )
    return Share(find_rank(), processes)


def _make_trainer(
    recipe: FineTunedRecipe, hardware: Hardware, out: Path, share: Share, callbacks: list[Callback]
) -> lightning.Trainer:
    fit = recipe.fit
    if fit.ema_decay:
        # All tensors in one call; Lightning's own class for this average takes them one by one.
        average = WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(fit.ema_decay))  # type: ignore[no-untyped-call]
        callbacks = [*callbacks, average]
    if fit.patience:
        callbacks = [*callbacks, EarlyStopping("validation_loss", patience=fit.patience, mode="min")]
    distributed = share.processes > 1
    return lightning.Trainer(
        accelerator=hardware.accelerator,
        devices=max(share.processes // hardware.machines, 1) if distributed else hardware.devices or 1,
        num_nodes=hardware.machines,
        strategy="ddp" if distributed else "auto",
        precision=choose_precision(hardware.precision),  # type: ignore[arg-type]
        max_epochs=recipe.all_epochs,
        accumulate_grad_batches=fit.accumulate,
        use_distributed_sampler=False,
        callbacks=callbacks,
        logger=[_make_logger(name, out) for name in hardware.loggers] or False,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(out),
    )


def choose_precision(name: str) -> str:
    """Return Lightning's name of a precision; ``auto`` is bf16 or fp16 where a GPU has it, else 32 bit."""
    if name != "auto":
        return name
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _make_logger(name: str, out: Path) -> Logger:
    if name == "csv":
        # A folder for every start: the logger removes what an earlier one left in its own.
        return CSVLogger(out, name="logs")
    if name == "tensorboard":
        return TensorBoardLogger(out, name="", version="tensorboard")
    from lightning.pytorch import loggers

    found = getattr(loggers, name, None)
    if not (isinstance(found, type) and issubclass(found, Logger)):
        known = ", ".join(n for n in loggers.__all__ if n.endswith("Logger"))
        raise UsageError(f"'{name}' is no logger; choose csv, tensorboard or one of {known}")
    try:
        make: Callable[..., Logger] = found
        made = make(save_dir=str(out))
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", f"log with {name} (its own package is missing: {error})") from error
    return made


def _adopt_weights(module: CellFitting, recipe: FineTunedRecipe, out: Path) -> None:
    """Put the weights of the best epoch into the module where the recipe asks for them."""
    if recipe.fit.select is not Selection.LAST:
        module.load_state_dict(read_checkpoint(out / FOLDER / BEST))
