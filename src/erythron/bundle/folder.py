"""The bundle folder: what it must hold, and loading it with everything checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from erythron.bundle.schema import ModelCard
from erythron.cells.classes import CellClass
from erythron.errors import BundleError
from erythron.files.hashing import hash_file
from erythron.files.reading import read_content

CARD = "model.json"
CLASSIFIER = "classifier.onnx"
SEGMENTATION = "segmentation.onnx"
DEFAULT_BUNDLE = Path(__file__).parent / "default"


@dataclass(frozen=True)
class Bundle:
    """A checked model.

    Attributes:
        path: its folder.
        card: its ``model.json``.
        classes: its classes in the order of the outputs.
    """

    path: Path
    card: ModelCard
    classes: tuple[CellClass, ...]

    @property
    def classifier_path(self) -> Path:
        """The network that names a cell."""
        return self.path / CLASSIFIER

    @property
    def segmentation_path(self) -> Path:
        """The network that outlines the cell at a point."""
        return self.path / SEGMENTATION


def load_bundle(path: Path | None = None) -> Bundle:
    """Read a bundle and check its schema and the content of every file.

    Args:
        path: its folder; None is the one that ships.

    Raises:
        BundleError: the folder or a file is missing, altered or unexpected, or ``model.json`` breaks its
        schema.
    """
    folder = DEFAULT_BUNDLE if path is None else path
    card_path = folder / CARD
    try:
        text = read_content(card_path)
    except OSError as error:
        raise BundleError(
            f"{card_path}: cannot be read ({error.strerror}); give a bundle's folder, or reinstall erythron"
        ) from error
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or "the whole file"
        raise BundleError(
            f"{card_path}: {first['msg']} at {place}; the bundle is damaged or of another version "
            "of erythron, so export it again"
        ) from error
    _check_files(folder, card)
    return Bundle(folder, card, tuple(CellClass(c.name, c.title, c.lineage) for c in card.classes))


def _check_files(folder: Path, card: ModelCard) -> None:
    for name in (CLASSIFIER, SEGMENTATION):
        if name not in card.files:
            raise BundleError(f"{folder / CARD}: lists no {name}; export the bundle again")
    inside = folder.resolve()
    present = set()
    for path in folder.rglob("*"):
        if not path.resolve().is_relative_to(inside):
            raise BundleError(f"{path}: is a link out of the bundle; copy the whole folder, links followed")
        if not path.is_dir():
            present.add(path.relative_to(folder).as_posix())
    for name in sorted(card.files):
        if name not in present:
            raise BundleError(f"{folder / name}: is missing from the bundle; copy the whole folder again")
    for name in sorted(present - set(card.files) - {CARD}):
        raise BundleError(
            f"{folder / name}: does not belong to the bundle; remove it, or copy the folder again"
        )
    for name, digest in sorted(card.files.items()):
        if _hash(folder / name) != digest:
            raise BundleError(
                f"{folder / name}: differs from what {CARD} states (SHA-256); copy the whole folder again"
            )


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); copy the whole folder again"
        ) from error
