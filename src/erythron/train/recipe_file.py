"""Recipes read from TOML, checked, and changed setting by setting."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from erythron.datasets.registry import load_registry
from erythron.errors import UsageError
from erythron.train.recipe import AnyRecipe, FineTunedRecipe, FrozenRecipe, FrozenSet, Recipe, SetEntry

FOLDER = Path(__file__).parent / "recipes"

_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="kind")])


def load_recipe(name: str) -> Recipe:
    """Return the recipe of a name that ships, or of a TOML file.

    Raises:
        UsageError: no such recipe, or the file breaks the schema.
    """
    shipped = FOLDER / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"'{name}' is no recipe; give the path of a TOML file or one of: {known}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is no TOML ({error})") from error
    return _find_relative(read_recipe({"name": path.stem, **content}, str(path)), path.absolute().parent)


def load_fine_tuned(name: str) -> FineTunedRecipe:
    """Return a recipe as :func:`load_recipe` does where it is of the kind ``fine_tuned``.

    Raises:
        UsageError: it is not.
    """
    recipe = load_recipe(name)
    if not isinstance(recipe, FineTunedRecipe):
        raise UsageError(f"'{name}' is a recipe of kind {recipe.kind}; give one of kind fine_tuned")
    return recipe


def read_recipe(content: dict[str, Any], name: str) -> Recipe:
    """Return the recipe that some content states.

    Args:
        content: as TOML or JSON hold it, with its ``kind``.
        name: what messages call it.

    Raises:
        UsageError: it breaks the schema; every setting that does is named.
    """
    if "kind" not in content:
        raise UsageError(
            f"{name}: says no kind; add kind = 'fine_tuned' or kind = 'frozen_encoder' at its top"
        )
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        # The first part of a place is the kind, which the file itself states.
        kinds = {"frozen_encoder", "fine_tuned"}
        problems = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'] if part not in kinds) or 'recipe'}: {e['msg']}"
            for e in error.errors()
        )
        raise UsageError(f"{name}: {problems}") from error


def _find_relative(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with the paths of sets and bundles that are there relative to a folder made whole."""

    def find(data: str) -> str:
        is_path = data not in load_registry() and not Path(data).is_absolute()
        return str(folder / data) if is_path and (folder / data).exists() else data

    changes: dict[str, Any] = {
        "sets": tuple(entry.model_copy(update={"data": find(entry.data)}) for entry in recipe.sets)
    }
    if isinstance(recipe, FrozenRecipe):
        segmenter = recipe.segmenter
        sets = tuple(s.model_copy(update={"data": find(s.data)}) for s in segmenter.sets)
        bundle = None if segmenter.bundle is None else find(segmenter.bundle)
        changes["segmenter"] = segmenter.model_copy(update={"sets": sets, "bundle": bundle})
    return recipe.model_copy(update=changes)


def replace_sets(recipe: Recipe, data: str) -> Recipe:
    """Return the recipe with one set in place of its own; figures are of that set."""
    entry = FrozenSet(data=data, judged=True) if isinstance(recipe, FrozenRecipe) else SetEntry(data=data)
    return recipe.model_copy(update={"sets": (entry,)})


def add_set(recipe: Recipe, data: str) -> Recipe:
    """Return the recipe with a further set, as one line ``data = ...`` in its file adds it."""
    entry = FrozenSet(data=data) if isinstance(recipe, FrozenRecipe) else SetEntry(data=data)
    return recipe.model_copy(update={"sets": (*recipe.sets, entry)})


def vary_recipe(recipe: AnyRecipe, changes: dict[str, object]) -> AnyRecipe:
    """Return a recipe with some settings changed.

    Args:
        recipe: to change.
        changes: by dotted path, such as ``fit.epochs``, or ``sets.1.weight`` for the second set.

    Raises:
        UsageError: a setting does not exist or a value is not allowed.
    """
    content = recipe.model_dump(mode="json")
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        place: Any = content
        for parent in parents:
            place = _step_into(place, parent)
        if not isinstance(place, dict) or leaf not in place or path == "kind":
            raise UsageError(f"'{path}' is no setting of a recipe of kind {recipe.kind}")
        place[leaf] = value
    varied: AnyRecipe = read_recipe(content, recipe.name)  # type: ignore[assignment]
    return varied


def name_changed(recipe: Recipe, given: Recipe) -> Recipe:
    """Return a recipe under a name of its own where it is no longer the given one, if it has none yet.

    A bundle is called after its recipe, and one of other sets must not pass for the one that ships.
    """
    if recipe == given or recipe.name != given.name:
        return recipe
    return recipe.model_copy(update={"name": f"{given.name}-changed"})


def _step_into(place: Any, part: str) -> Any:
    if isinstance(place, list):
        return place[int(part)] if part.isdigit() and int(part) < len(place) else None
    return place.get(part) if isinstance(place, dict) else None


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """Return settings by their dotted path from ``path=value`` texts; values are TOML, or else words.

    Raises:
        UsageError: a text has no equals sign.
    """
    changes: dict[str, object] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' is no setting; write it as path=value, such as fit.epochs=20")
        try:
            changes[path.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            changes[path.strip()] = value.strip()
    return changes
