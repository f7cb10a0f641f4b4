"""A trained run to a bundle that the light install classifies and counts with."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

from erythron.bundle.folder import CLASSIFIER, DEFAULT_BUNDLE, OUTLINER, Bundle, load_bundle
from erythron.bundle.schema import (
    CrossValidation,
    DataUsed,
    MaskInput,
    ModelCard,
    ModelClass,
    Normalisation,
    SelfTest,
)
from erythron.cells.classes import Lineage, find_type
from erythron.datasets.manifest import hash_rows
from erythron.errors import UsageError
from erythron.train.card import SOURCES
from erythron.train.cellset import make_framing
from erythron.train.evaluate import Evaluation, read_evaluation
from erythron.train.export import (
    MAX_EXPORT_DIFFERENCE,
    SELF_TEST_TOLERANCE,
    draw_test_cell,
    list_software,
    store_tested,
)
from erythron.train.networks.two_branch import CellNetwork
from erythron.train.onnx_file import export_onnx, store_onnx
from erythron.train.run import ROWS_FILE, RunRecord, load_network

_ONE_SPLIT = 1


class _ImageNetwork(nn.Module):
    """A network without a mask input."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(pixels, pixels[:, :0])
        return logits


def write_run_bundle(run: Path, out: Path) -> Bundle:
    """Export an evaluated run, prove that the bundle reproduces its stored cell, and only then name it.

    The bundle takes its segmenter from the bundle that ships, with which the run's masks were made where no
    true ones were given. Probabilities are the network's own: no temperature, no threshold.

    Args:
        run: folder of a finished and evaluated run.
        out: folder of the bundle; must not be there.

    Raises:
        UsageError: the output is there, or the network does not see the image.
        DataError: the run is not finished or not evaluated.
        BundleError: OpenVINO and torch differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; name a new folder")
    network, record = load_network(run)
    fusion = record.recipe.network.fusion
    if not fusion.sees_image:
        raise UsageError(f"{run}: its network sees the mask alone, which is for comparison, not for use")
    evaluation = read_evaluation(run)
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    difference = _export_network(network, record, part / CLASSIFIER)
    shutil.copyfile(DEFAULT_BUNDLE / OUTLINER, part / OUTLINER)
    draw_test_cell(part)
    rows = pl.read_parquet(run / ROWS_FILE)
    card = _make_card(record, evaluation, rows, difference)
    (part / "card.md").write_text(_render_card(card, evaluation), encoding="utf-8")
    store_tested(card, part)
    part.replace(out)
    return load_bundle(out)


def _export_network(network: CellNetwork, record: RunRecord, path: Path) -> float:
    """Write the ONNX file and return the largest difference between torch and OpenVINO on seeded noise."""
    settings, side = record.recipe.network, record.recipe.inputs.px
    generator = torch.Generator().manual_seed(0)
    planes = len(settings.mask_planes)
    inputs = {"pixels": torch.randn((3, 3, side, side), generator=generator).clamp(-1, 1)}
    whole: nn.Module = _ImageNetwork(network)
    if planes:
        inputs["masks"] = torch.rand((3, planes, side, side), generator=generator).round()
        whole = network
    model = export_onnx(whole.eval(), inputs, ("logits",))
    return store_onnx(model, path, whole, inputs, MAX_EXPORT_DIFFERENCE)


def find_mask_input(record: RunRecord) -> MaskInput:
    """Return which mask planes the exported network takes."""
    settings = record.recipe.network
    return MaskInput(settings.mask_kind) if settings.fusion.sees_mask else MaskInput.NONE


def _make_card(record: RunRecord, evaluation: Evaluation, rows: pl.DataFrame, difference: float) -> ModelCard:
    recipe, shipped = record.recipe, load_bundle().card
    training = rows.filter(pl.col("split") == "train")
    labels = training[recipe.label_column].to_list()
    scores = evaluation.scores
    present = [i for i, row in enumerate(scores.confusion) if any(row)]
    return ModelCard(
        schema_version=2,
        name=f"erythron-{recipe.name}",
        version="1",
        classes=tuple(
            ModelClass(
                name=name,
                title=name.replace("_", " ").capitalize(),
                lineage=_find_lineage(name),
                prior=labels.count(name) / len(labels),
            )
            for name in record.classes
        ),
        framing=make_framing(recipe.inputs),
        segmenter=shipped.segmenter,
        normalisation=Normalisation(mean=record.scaling.mean, sd=record.scaling.sd),
        outlines=shipped.outlines,
        mask_input=find_mask_input(record),
        measurement_inputs=(),
        measurement_limit=1.0,
        temperature=1.0,
        unclassified_below=0.0,
        unclassified_rule="no threshold was chosen: every call counts",
        cross_validation=CrossValidation(
            folds=_ONE_SPLIT,
            cells=scores.cells,
            true_classes=tuple(record.classes[i] for i in present),
            confusion=tuple(scores.confusion[i] for i in present),
            figures=scores.figures,
        ),
        data=tuple(
            DataUsed(
                name=str(name),
                cells=part.height,
                licence=SOURCES[str(name)].licence if str(name) in SOURCES else "see its source",
                source=SOURCES[str(name)].source if str(name) in SOURCES else str(name),
                rows_hash=hash_rows(part),
            )
            for (name,), part in training.group_by("source", maintain_order=True)
        ),
        split_hash=record.split_hash,
        seed=recipe.seed,
        export_difference=difference,
        software=list_software(),
        self_test=SelfTest(
            image="selftest.png",
            mask="selftest_mask.png",
            mpp=recipe.inputs.mpp,
            probabilities=(0.0,) * len(record.classes),
            tolerance=SELF_TEST_TOLERANCE,
        ),
        files={},
    )


def _find_lineage(label: str) -> Lineage:
    found = find_type(label)
    if found.cell_class is not None:
        return found.cell_class.lineage
    return Lineage.ERYTHROID if found.name == "erythroblast" else Lineage.OTHER


def _render_card(card: ModelCard, evaluation: Evaluation) -> str:
    scores = evaluation.scores
    figures = "\n".join(
        f"| {name.replace('_', ' ')} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} |"
        for name, f in scores.figures.items()
    )
    classes = "\n".join(
        f"| {c.name} | {c.cells} | {'' if c.precision is None else f'{c.precision:.3f}'} | "
        f"{'' if c.recall is None else f'{c.recall:.3f}'} |"
        for c in scores.classes
    )
    data = "\n".join(f"| {d.name} | {d.cells} | {d.source} | {d.licence} |" for d in card.data)
    return f"""# {card.name} {card.version}

Names single cells. **Research use only.** It proposes; a qualified person confirms every call. It must not be
used to diagnose or to decide on a patient.

## Training data

| set | cells | source | licence |
|---|---|---|---|
{data}

## Results on the test part

{scores.cells} cells in {scores.groups} groups, called once after training; 95 % intervals by a bootstrap over
groups.

| figure | value | 95 % interval |
|---|---|---|
{figures}

| class | cells | precision | recall |
|---|---|---|---|
{classes}

## Limits

- Cells are outlined by the segmenter of the bundle that ships.
- Probabilities are the network's own, not recalibrated; no call is held back as unclassified, and nothing
  says how unlike the training cells a cell is.
- Test cells come from the sources of the training cells: another scanner, stain or laboratory was not tested.
"""
