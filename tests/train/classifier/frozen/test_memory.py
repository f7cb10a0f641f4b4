"""What a bundle keeps of its training: the same sources again, or a refusal in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from erythron.bundle.folder import Bundle
from erythron.errors import BundleError
from erythron.train.classifier.frozen.head import fit_head
from erythron.train.classifier.frozen.memory import MEMORY, read_memory, store_memory
from erythron.train.classifier.frozen.sources import join_examples
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.run_folder import ROWS_FILE, RunRecord

from .small_run import prepare

pytestmark = pytest.mark.ahead(start=prepare)


def test_a_bundle_keeps_the_features_that_its_head_was_fitted_on(
    trained: tuple[Path, RunRecord], exported: Bundle, small_frozen: FrozenRecipe
) -> None:
    memory = read_memory(exported.path / MEMORY)
    assert memory.recipe == small_frozen
    assert [s.name for s in memory.sources] == ["pathology-bites-cells", "pbc-acevedo"]
    assert [s.is_judged for s in memory.sources] == [True, False]
    marrow, blood = memory.sources
    assert marrow.rows.height == 20
    assert len(marrow.samples) == 3
    assert set(blood.rows["label"]) == {"erythroblast", "monocyte"}
    assert not any("/" in path for path in marrow.rows["path"])
    # The head that is fitted on them calls every cell as the bundle's own does.
    head = fit_head(join_examples(memory.sources, None), memory.recipe.head)
    called = head.logits(marrow.samples[0]).argmax(axis=1)
    assert marrow.allowed[np.arange(20), called].all()
    assert (trained[0] / ROWS_FILE).exists()


def test_a_memory_read_and_stored_again_is_the_same(exported: Bundle, tmp_path: Path) -> None:
    memory = read_memory(exported.path / MEMORY)
    store_memory(memory, tmp_path / MEMORY)
    again = read_memory(tmp_path / MEMORY)
    for one, other in zip(memory.sources, again.sources, strict=True):
        assert one.rows.equals(other.rows)
        np.testing.assert_array_equal(one.allowed, other.allowed)
        np.testing.assert_array_equal(one.folds, other.folds)
        np.testing.assert_array_equal(one.weights, other.weights)
        step = memory.recipe.head.limit / 127 * np.concatenate(one.samples).std(axis=0)
        for a, b in zip(one.samples, other.samples, strict=True):
            assert (np.abs(a - b) <= 1.5 * step + 1e-3).all()


def test_a_missing_damaged_or_foreign_memory_is_named(exported: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot learn from a review"):
        read_memory(tmp_path / MEMORY)
    whole = (exported.path / MEMORY).read_bytes()
    (tmp_path / MEMORY).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="cannot be read"):
        read_memory(tmp_path / MEMORY)
    # An array of Python objects would be unpickled, which runs code.
    np.savez(tmp_path / MEMORY, facts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="cannot be read"):
        read_memory(tmp_path / MEMORY)
