from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from erythron.train.classifier.frozen import left_out
from erythron.train.classifier.frozen.left_out import CLASSES, find_own_figures, judge_sets, open_classes
from erythron.train.classifier.frozen.partial_labels import open_labels
from erythron.train.classifier.frozen.sources import STAGES, Source
from erythron.train.recipe import FrozenRecipe

LABELS = ("proerythroblast", "basophilic_erythroblast", "lymphocyte", "erythroblast", "white_cell")
RECIPE = FrozenRecipe(folds=2)


def make_source(name: str, labels: tuple[str, ...], is_judged: bool = False, shift: float = 0.0) -> Source:
    """Four cells of each label, told apart by one feature; ``shift`` is the laboratory's own."""
    every = [label for label in labels for _ in range(4)]
    rng = np.random.default_rng(len(name))
    places = np.array([LABELS.index(label) for label in every])
    features = rng.normal(0, 0.1, (len(every), 3)) + np.eye(5)[places][:, :3] * 2 + [shift, 0, 0]
    known = [label if label in CLASSES else None for label in every]
    return Source(
        name=name,
        rows=pl.DataFrame({"label": every, "class": pl.Series(known, dtype=pl.String)}),
        is_judged=is_judged,
        folds=np.arange(len(every)) % 2,
        weights=np.full(len(every), 1 / len(every)),
        allowed=open_labels(every),
        samples=(features.astype(np.float32),),
    )


def test_own_figures_count_what_a_label_leaves_open() -> None:
    source = make_source("mine", LABELS)
    logits = np.full((20, len(CLASSES)), -5.0)
    logits[:, CLASSES.index("lymphocyte")] = 0
    logits[12:14, 1] = 5
    found = find_own_figures(source, logits)
    # Right are the lymphocytes and two erythroblasts of unknown stage; a white cell says nothing of its kind.
    right, named = 4 + 2 + 4, 20
    assert open_classes(source.allowed)[16].sum() == len(CLASSES) - 1
    assert found["named_right"] == pytest.approx(right / named)
    assert found["erythroid_found"] == pytest.approx(2 / 12, abs=1e-4)
    assert found["called_erythroid"] == 0
    assert find_own_figures(make_source("x", ("erythroblast",)), logits[:4])["called_erythroid"] is None


def test_every_laboratory_is_left_out_once_with_all_its_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of one laboratory are unseen together, and the judged cells are called without it."""
    fitted: list[set[int]] = []
    real = left_out.join_examples

    def join(sources, without):  # type: ignore[no-untyped-def]
        fitted.append({len(s.name) for s in sources})
        return real(sources, without)

    monkeypatch.setattr(left_out, "join_examples", join)
    sources = [
        make_source("marrow", ("proerythroblast", "basophilic_erythroblast", "lymphocyte"), is_judged=True),
        make_source("matek-marrow", ("lymphocyte",)),
        make_source("matek-samples", ("erythroblast",)),
    ]
    logits = left_out.call_out_of_fold(sources, RECIPE)
    fitted.clear()
    found = judge_sets(sources, logits, RECIPE)
    assert fitted == [{12, 13}, {6}, {6}, {6}], "marrow without Munich, and Munich alone for marrow"
    assert list(found) == [s.name for s in sources]
    assert found["matek-marrow"].labels == {"lymphocyte": 4}
    assert found["matek-marrow"].own["called_erythroid"].without == 0
    assert set(found["matek-samples"].own) == {"named_right", "erythroid_found"}
    assert found["marrow"].judged == {}
    both = found["matek-samples"].judged["stage_accuracy_of_all_classes"]
    assert both.with_source == both.without == 1
    assert found["marrow"].erythroid_auc == 1

    fitted.clear()
    fast = judge_sets(sources, logits, RECIPE.model_copy(update={"leave_one_out": False}))
    assert fitted == []
    assert fast["marrow"].own["named_right"].without is None
    assert fast["marrow"].unseen_erythroid_auc is None
    assert STAGES == 4
