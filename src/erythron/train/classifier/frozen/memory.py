"""What a head was fitted on, kept in its bundle as features, so that it can be fitted again with more cells.

Images of the training cells may be large, or may not be handed on; their features are enough for a linear
head. In: the sources of a training. Out: one file of arrays, and the same sources again.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from zipfile import BadZipFile

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.errors import BundleError
from erythron.files.writing import write_file
from erythron.train.classifier.frozen.partial_labels import FINE_CLASSES
from erythron.train.classifier.frozen.sources import Source
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.framed_cells import LEAST_SD

MEMORY = "training.npz"
"""Name of the file, in a run's folder and in its bundle."""

_COLUMNS = ("path", "sha256", "group", "source", "label", "class")
_VERSION = 1
_STEPS = 127


@dataclass(frozen=True)
class Memory:
    """What a head was fitted on, and how.

    Attributes:
        recipe: of that training.
        sources: the sets, with the features of all their samples.
    """

    recipe: FrozenRecipe
    sources: tuple[Source, ...]


def store_memory(memory: Memory, path: Path) -> None:
    """Write a memory.

    Features are kept in 127 steps to either side of their mean, up to the limit at which the head cuts
    them: a step is a twentieth of a standard deviation where that limit is 6. Of paths the names are kept.
    """
    every = np.concatenate([sample for source in memory.sources for sample in source.samples])
    mean, sd = every.mean(axis=0), every.std(axis=0) + LEAST_SD
    limit = memory.recipe.head.limit
    arrays: dict[str, NDArray[np.generic]] = {
        "facts": _pack(
            json.dumps(
                {
                    "version": _VERSION,
                    "recipe": memory.recipe.model_dump(mode="json"),
                    "fine_classes": FINE_CLASSES,
                    "sources": [
                        {"name": s.name, "judged": s.is_judged, "lineage_weight": s.lineage_weight}
                        for s in memory.sources
                    ],
                }
            )
        ),
        "mean": mean.astype(np.float32),
        "sd": sd.astype(np.float32),
    }
    for i, source in enumerate(memory.sources):
        scaled = np.clip((np.stack(source.samples) - mean) / sd / limit, -1, 1)
        arrays[f"features_{i}"] = np.rint(scaled * _STEPS).astype(np.int8)
        arrays[f"allowed_{i}"] = source.allowed
        arrays[f"folds_{i}"] = source.folds
        arrays[f"weights_{i}"] = source.weights
        names = [PurePath(p).name for p in source.rows["path"]]
        rows = source.rows.with_columns(path=pl.Series(names, dtype=pl.String)).select(_COLUMNS)
        arrays[f"rows_{i}"] = _pack(json.dumps(rows.to_dict(as_series=False)))
    stored = BytesIO()
    np.savez_compressed(stored, **arrays)  # type: ignore[arg-type]
    write_file(path, stored.getvalue())


def read_memory(path: Path) -> Memory:
    """Read what :func:`store_memory` wrote; nothing is unpickled.

    Raises:
        BundleError: the file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            facts = json.loads(_unpack(found["facts"]))
            if facts["version"] != _VERSION or tuple(facts["fine_classes"]) != FINE_CLASSES:
                raise ValueError("it is of another version of erythron")  # noqa: TRY301
            recipe = FrozenRecipe.model_validate(facts["recipe"])
            mean, sd, limit = found["mean"], found["sd"], recipe.head.limit
            sources = tuple(
                Source(
                    name=str(part["name"]),
                    rows=pl.DataFrame(
                        json.loads(_unpack(found[f"rows_{i}"])), dict.fromkeys(_COLUMNS, pl.String())
                    ),
                    is_judged=bool(part["judged"]),
                    folds=found[f"folds_{i}"],
                    weights=found[f"weights_{i}"],
                    allowed=found[f"allowed_{i}"],
                    samples=tuple(
                        (sample * (limit / _STEPS) * sd + mean).astype(np.float32)
                        for sample in found[f"features_{i}"].astype(np.float32)
                    ),
                    # Bundles up to version 9 were made before a source could state it.
                    lineage_weight=float(part.get("lineage_weight", 1.0)),
                )
                for i, part in enumerate(facts["sources"])
            )
    except FileNotFoundError as error:
        raise BundleError(
            f"{path}: is missing: this bundle does not keep what it was trained on, so it cannot learn from "
            "a review; take one that this version of erythron trained"
        ) from error
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the bundle again") from error
    return Memory(recipe, sources)


def _pack(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _unpack(array: NDArray[np.generic]) -> str:
    return array.tobytes().decode()
