"""A training run in one folder: recipe, split, checkpoints, logs, and resuming from them."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import polars as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.optim.swa_utils import get_ema_multi_avg_fn

from erythron.datasets.manifest import hash_split
from erythron.errors import DataError, MissingExtraError, UsageError
from erythron.train.cellset import CACHE_FOLDER, CellSet, prepare_cells
from erythron.train.loader import Share, TrainingLoader, make_plain_loader
from erythron.train.module import CellFitting
from erythron.train.networks.backbones import PixelScaling, find_scaling
from erythron.train.networks.settings import Pretraining
from erythron.train.networks.two_branch import CellNetwork, build_network
from erythron.train.progress import Progress, no_progress
from erythron.train.recipe import Recipe, Selection

RUN_FILE = "run.json"
WEIGHTS_FILE = "weights.pt"
LAST = "last.ckpt"
BEST = "best.ckpt"
ROWS_FILE = "manifest.parquet"
_CHECKPOINTS = "checkpoints"

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Hardware:
    """Where and how a run computes; nothing here changes its result beyond rounding.

    Attributes:
        accelerator: Lightning's name; ``auto`` takes what is there.
        devices: of this machine; 0 takes one on a CPU, all otherwise, and what torchrun or SLURM started.
        machines: how many.
        precision: Lightning's name; ``auto`` is bf16 or fp16 where a GPU has it, else 32 bit.
        threads: CPU threads of each process.
        workers: processes that read ahead.
        loggers: ``csv``, ``tensorboard``, or the name of a class of ``lightning.pytorch.loggers``.
    """

    accelerator: str = "auto"
    devices: int = 0
    machines: int = 1
    precision: str = "auto"
    threads: int = 2
    workers: int = 0
    loggers: tuple[str, ...] = ("csv", "tensorboard")


@dataclass(frozen=True)
class RunRecord:
    """What a finished run was and is, as ``run.json`` keeps it.

    Attributes:
        recipe: all of it.
        classes: in the order of the outputs.
        scaling: of the pixels.
        split_hash: of the manifest.
        epochs_run: may be fewer than planned after an early stop.
        seconds: of training, the time of an interrupted part left out.
        metrics: Lightning's last.
        cells: training cells.
        cache: folder of the prepared cells; where it has gone they are prepared anew.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    scaling: PixelScaling
    split_hash: str
    epochs_run: int
    seconds: float
    metrics: dict[str, float]
    cells: int
    cache: str


class _Report(Callback):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._progress("Training", trainer.current_epoch + 1, int(trainer.max_epochs or 0))


@dataclass
class _Clock(Callback):
    """Seconds of training, kept in the checkpoints."""

    seconds: float = 0.0
    _started: float = field(default=0.0)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._started = time.monotonic() - self.seconds

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.seconds = time.monotonic() - self._started

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.seconds = state_dict["seconds"]


def train_run(
    recipe: Recipe,
    rows: pl.DataFrame,
    out: Path,
    hardware: Hardware = Hardware(),
    progress: Progress = no_progress,
    cache: Path | None = None,
) -> RunRecord:
    """Train one network on the training part, or go on where an interrupted run of the same recipe stopped.

    The test part is not read. The folder ends up with ``run.json``, ``weights.pt`` (the result's weights,
    tensors alone), ``manifest.parquet``, ``checkpoints/`` and the logs.

    Args:
        recipe: what to train and how.
        rows: a manifest with its split; whether that holds, the caller has checked.
        out: folder of the run.
        hardware: where to compute.
        progress: called after each cell that is outlined and each epoch.
        cache: folder for prepared cells; None is inside ``out``.

    Raises:
        UsageError: the folder holds another run, or a finished one.
        DataError: the manifest has no training cells, or validation is asked for and there is none.
    """
    torch.set_num_threads(hardware.threads)
    share, split_hash = _find_share(hardware), hash_split(rows)
    if share.rank == 0:
        _claim(out, recipe, split_hash)
    finished = out / RUN_FILE
    if finished.exists():
        raise UsageError(f"{out}: this run is finished; evaluate it, or name another folder")
    cache = (cache or out / CACHE_FOLDER).absolute()
    cells = prepare_cells(rows, recipe.label_column, recipe.inputs, cache, progress)
    training, validation = (
        cells.take_split(part).select_planes(recipe.network.mask_planes) for part in ("train", "validation")
    )
    _check_parts(training, validation, recipe)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    loader = TrainingLoader(training, recipe.fit, recipe.seed, share, hardware.workers)
    scaling = find_scaling(recipe.network)
    network = build_network(recipe.network, len(cells.classes), recipe.inputs.px)
    module = CellFitting(network, recipe, scaling, len(loader) // recipe.fit.accumulate)
    module = module.to(memory_format=torch.channels_last)
    clock = _Clock()
    trainer = _make_trainer(recipe, hardware, out, share, [clock, _Report(progress)])
    last = out / _CHECKPOINTS / LAST
    with closing(loader), _silence_expected():
        trainer.fit(
            module,
            loader,
            make_plain_loader(validation, recipe.fit.batch_size) if len(validation.labels) else None,
            ckpt_path=str(last) if last.exists() else None,
            # A checkpoint is this run's own; the loops' states are plain numbers beside the tensors.
            weights_only=False,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    _adopt_weights(module, recipe, out)
    record = RunRecord(
        recipe,
        cells.classes,
        scaling,
        split_hash,
        trainer.current_epoch,
        round(clock.seconds, 1),
        {k: float(v) for k, v in trainer.callback_metrics.items()},
        len(training.labels),
        str(cache),
    )
    if share.rank == 0:
        torch.save(module.network.state_dict(), out / WEIGHTS_FILE)
        rows.write_parquet(out / ROWS_FILE)
        finished.write_text(dump_record(record) + "\n")
    trainer.strategy.barrier()
    return record


def dump_record(record: RunRecord) -> str:
    """Return a record as JSON."""
    content = {**asdict(record), "recipe": record.recipe.model_dump(mode="json")}
    return json.dumps(content, indent=1)


def read_record(run: Path) -> RunRecord:
    """Return the record of a finished run.

    Raises:
        DataError: the folder is no finished run.
    """
    path = run / RUN_FILE
    try:
        content = json.loads(path.read_text())
        content["recipe"] = Recipe.model_validate(content["recipe"])
        scaling = content["scaling"]
        content["scaling"] = PixelScaling(tuple(scaling["mean"]), tuple(scaling["sd"]))
        return RunRecord(**{**content, "classes": tuple(content["classes"])})
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give the folder of a finished training run"
        ) from error
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); train again") from error


def load_network(run: Path) -> tuple[CellNetwork, RunRecord]:
    """Return the trained network of a run in evaluation mode, and its record.

    Raises:
        DataError: the folder is no finished run, or its weights do not fit its recipe.
    """
    record = read_record(run)
    bare = record.recipe.network.model_copy(update={"pretraining": Pretraining.NONE})
    network = build_network(bare, len(record.classes), record.recipe.inputs.px)
    try:
        network.load_state_dict(torch.load(run / WEIGHTS_FILE, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{run / WEIGHTS_FILE}: cannot be loaded ({error}); train again") from error
    return network.eval(), record


@contextmanager
def _silence_expected() -> Iterator[None]:
    """Hide what Lightning warns of that is as it should be: no validation part, frozen BatchNorm."""
    with warnings.catch_warnings():
        for message in ("You defined a `validation_step`", "Found .* module.* in eval mode", ".*LeafSpec"):
            warnings.filterwarnings("ignore", message=message)
        yield


def _claim(out: Path, recipe: Recipe, split_hash: str) -> None:
    """Write what the folder is for, or refuse where it is for something else."""
    plan = out / "plan.json"
    wanted = {"recipe": recipe.model_dump(mode="json"), "split_hash": split_hash}
    if plan.exists():
        if json.loads(plan.read_text()) != wanted:
            raise UsageError(
                f"{out}: holds a run of another recipe or split; name another folder or give the same again"
            )
        return
    if out.exists() and any(p.name != CACHE_FOLDER for p in out.iterdir()):
        raise UsageError(f"{out}: is not empty and holds no run; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".plan.{os.getpid()}"
    partial.write_text(json.dumps(wanted, indent=1))
    partial.replace(plan)


def _check_parts(training: CellSet, validation: CellSet, recipe: Recipe) -> None:
    if not len(training.labels):
        raise DataError("the manifest has no cells in its part 'train'; split it with: erythron data split")
    missing = set(range(len(training.classes))) - set(training.labels.tolist())
    if missing:
        names = ", ".join(training.classes[i] for i in sorted(missing))
        raise DataError(f"no training cell has the class {names}; split again or drop the class")
    if not len(validation.labels) and (recipe.fit.patience or recipe.fit.select is Selection.BEST):
        raise DataError(
            "the recipe stops or selects by the validation loss and the manifest has no part 'validation'; "
            "set fit.patience = 0 and fit.select = 'last', or split again"
        )


def _find_share(hardware: Hardware) -> Share:
    """Return this process' part, from what torchrun or SLURM says."""
    processes = int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)
    rank = int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)
    if processes == 1 and hardware.devices > 1:
        raise UsageError(
            f"{hardware.devices} devices need as many processes: start with "
            f"torchrun --nproc-per-node {hardware.devices} -m erythron train ..."
        )
    return Share(rank, processes)


def _make_trainer(
    recipe: Recipe, hardware: Hardware, out: Path, share: Share, callbacks: list[Callback]
) -> lightning.Trainer:
    fit = recipe.fit
    folder = out / _CHECKPOINTS
    if fit.ema_decay:
        # All tensors in one call; Lightning's own class for this average takes them one by one.
        average = WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(fit.ema_decay))  # type: ignore[no-untyped-call]
        callbacks = [*callbacks, average]
    if fit.patience:
        callbacks = [*callbacks, EarlyStopping("validation_loss", patience=fit.patience, mode="min")]
    if fit.select is Selection.BEST:
        callbacks.append(
            ModelCheckpoint(
                folder, BEST.removesuffix(".ckpt"), monitor="validation_loss", enable_version_counter=False
            )
        )
    if fit.checkpoint_steps:
        callbacks.append(_keep_last(folder, every_n_train_steps=fit.checkpoint_steps))
    callbacks.append(_keep_last(folder, every_n_epochs=1, save_on_train_epoch_end=True))
    distributed = share.processes > 1
    return lightning.Trainer(
        accelerator=hardware.accelerator,
        devices=max(share.processes // hardware.machines, 1) if distributed else hardware.devices or 1,
        num_nodes=hardware.machines,
        strategy="ddp" if distributed else "auto",
        precision=choose_precision(hardware.precision),  # type: ignore[arg-type]
        max_epochs=fit.epochs,
        accumulate_grad_batches=fit.accumulate,
        use_distributed_sampler=False,
        callbacks=callbacks,
        logger=[_make_logger(name, out) for name in hardware.loggers] or False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(out),
    )


def _keep_last(folder: Path, **when: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder, LAST.removesuffix(".ckpt"), enable_version_counter=False, save_top_k=1, **when
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


def _adopt_weights(module: CellFitting, recipe: Recipe, out: Path) -> None:
    """Put the weights of the best epoch into the module where the recipe asks for them."""
    if recipe.fit.select is Selection.BEST:
        best = torch.load(out / _CHECKPOINTS / BEST, map_location="cpu", weights_only=False)
        module.load_state_dict(best["state_dict"])
