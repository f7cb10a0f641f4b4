"""A recipe on every registered set that is here.

In: a recipe of a frozen encoder and the registry. Out: the recipe with every further set, and one line for
each set that does not join. Nothing is downloaded here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from erythron.cells.classes import ERYTHROID_STAGES, find_type
from erythron.datasets.registry import RegisteredSet, find_origin, load_registry, locate_set
from erythron.errors import UsageError
from erythron.train.classifier.frozen.partial_labels import find_open
from erythron.train.recipe import FrozenRecipe, FrozenSet, Recipe, SegmenterSettings
from erythron.train.segmenter.sets import DEFAULT_SETS

STAGED_WEIGHT, WEIGHT = 1.0, 0.5
"""Of all sets of a laboratory together: as the recipe that ships has them for marrow and for blood."""

PER_LABEL = 300
"""Most cells of each label: 18 labels of the Munich set are then as many examples as the crops of the recipe
that ships, with their samples; a fit takes minutes and not hours."""

SAMPLES = 3
"""Augmented samples of each cell, as the recipe that ships has them for blood."""

NO_LINEAGE = 0.0
"""Lineage weight of a laboratory that holds only erythroid cells, or none. With 600 cells of the Munich set,
none of them erythroid, at weight 0.5, the lineage of 96 of 103 cells in fields of others was right so, and of
80 with lineage weight 1 (``docs/results/other-laboratories.md``)."""

_STAGES = {stage.name for stage in ERYTHROID_STAGES}

NO_WEIGHTS = (
    "Trained on {names}, whose licence does not allow weights to be handed on: use this model yourself."
)


@dataclass(frozen=True)
class AllSets:
    """A recipe on all sets that are here.

    Attributes:
        recipe: what to train.
        notes: one line for each registered set that does not join, and for what else was changed.
    """

    recipe: FrozenRecipe
    notes: tuple[str, ...]


def list_wanted(recipe: Recipe) -> list[RegisteredSet]:
    """Return the registered sets that ``--sets all`` takes where they can be had, those of the recipe first.

    Parts of other sets are read with these, and a few cells to look at are no set to train on. A set whose
    cells another one holds as well is wanted only where that other one can be neither found nor downloaded.
    """
    registry = load_registry()
    named = [entry.data for entry in recipe.sets if entry.data in registry]
    order = [*named, *(name for name in registry if name not in named)]
    every = [registry[name] for name in order]
    wanted = [s for s in every if s.name in named or (s.part_of is None and s.for_training)]
    return [s for s in wanted if s.subset_of is None or not _can_be_had(registry[s.subset_of])]


def _can_be_had(registered: RegisteredSet) -> bool:
    return registered.url is not None or locate_set(registered.name) is not None


def take_all_sets(recipe: Recipe) -> AllSets:
    """Return a recipe with every registered set that is here, beside its own.

    A laboratory weighs ``STAGED_WEIGHT`` where one of its sets tells the stages apart, which is then judged,
    else ``WEIGHT``; its sets share that. Entries of the recipe stay as they are; those of registered sets
    that are not here are left out.

    Raises:
        UsageError: the recipe is of another kind, or no set that is judged is here.
    """
    if not isinstance(recipe, FrozenRecipe):
        raise UsageError(
            f"{recipe.name}: all sets have labels as fine or as coarse as each, which only a recipe of kind "
            "frozen_encoder learns from; name its sets one by one"
        )
    registry = load_registry()
    wanted = list_wanted(recipe)
    here = [s for s in wanted if locate_set(s.name) is not None]
    own = [entry for entry in recipe.sets if entry.data not in registry or locate_set(entry.data) is not None]
    named = {entry.data for entry in recipe.sets}
    further = [s for s in here if s.name not in named]
    sharing = Counter(find_origin(s.name) for s in further)
    mixed = _find_mixed(here)
    entries = [
        FrozenSet(
            data=s.name,
            weight=(STAGED_WEIGHT if s.has_stages else WEIGHT) / sharing[find_origin(s.name)],
            per_label=PER_LABEL,
            samples=SAMPLES,
            judged=s.has_stages,
            lineage_weight=1.0 if find_origin(s.name) in mixed else NO_LINEAGE,
        )
        for s in further
    ]
    sets = (*own, *entries)
    if not any(entry.judged for entry in sets):
        raise UsageError(
            "no set that tells the erythroid stages apart is here, so nothing could be judged; give --fetch, "
            "or run erythron data fetch pathology-bites-cells"
        )
    notes = [_say_absent(s) for s in wanted if s not in here]
    forbidden = [s.name for s in here if not s.trains_shipped_weights]
    limits = (NO_WEIGHTS.format(names=", ".join(forbidden)),) if forbidden else ()
    notes += limits
    segmenter, note = _choose_segmenter(recipe.segmenter)
    notes += [note] if note else []
    changes = {"sets": sets, "segmenter": segmenter, "limits": (*recipe.limits, *limits)}
    return AllSets(recipe.model_copy(update=changes), tuple(notes))


def _find_mixed(sets: Iterable[RegisteredSet]) -> set[str]:
    """Return the laboratories whose sets together hold erythroid cells and others."""
    of_stage: defaultdict[str, set[bool]] = defaultdict(set)
    for registered in sets:
        fine = [find_open(find_type(name)) for name in registered.adds]
        of_stage[find_origin(registered.name)] |= {set(names) <= _STAGES for names in fine}
    return {origin for origin, found in of_stage.items() if len(found) > 1}


def _say_absent(registered: RegisteredSet) -> str:
    if registered.url is None:
        return f"{registered.name} is not here; get it by hand from {registered.page}"
    return f"{registered.name} is not here; give --fetch, or run erythron data fetch {registered.name}"


def _choose_segmenter(settings: SegmenterSettings) -> tuple[SegmenterSettings, str | None]:
    """Return the settings, or the network that ships where a set that one would be fitted on is missing."""
    if not settings.fit:
        return settings, None
    names = [s.data for s in settings.sets or DEFAULT_SETS]
    missing = [name for name in _keep_registered(names) if locate_set(name) is None]
    if not missing:
        return settings, None
    return SegmenterSettings(), (
        "cells are outlined by the network that ships, because a set that the recipe would fit one on is not "
        f"here: {', '.join(missing)}"
    )


def _keep_registered(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in load_registry()]
