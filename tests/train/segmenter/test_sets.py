"""What is known of the sets of the segmentation network beyond their manifests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.datasets.registry import load_registry
from erythron.datasets.sets import read_set
from erythron.segment.scale import RED_CELL_UM
from erythron.train.segmenter.sets import DEFAULT_SETS, TRAITS, SetTraits, find_traits, name_source


def test_the_shipped_network_learns_only_from_sets_whose_licence_allows_it() -> None:
    assert all(load_registry()[chosen.data].trains_shipped_weights for chosen in DEFAULT_SETS)
    assert [name_source(chosen.data) for chosen in DEFAULT_SETS] == ["marrow", "bcisc", "bccd", "pbc"]
    assert TRAITS.keys() <= load_registry().keys()


def test_a_set_that_is_not_known_is_called_by_its_own_name() -> None:
    assert find_traits("own") == SetTraits(name="own")
    assert name_source("somewhere/own/manifest.csv") == "own"
    assert name_source("somewhere/bcisc.parquet") == "bcisc"


@pytest.mark.real_data
def test_the_scale_of_bccd_is_that_of_its_boxes_of_red_cells(data_dir: Path) -> None:
    boxes = read_set("bccd", data_dir / "bccd").rows.filter(pl.col("label") == "red_cell")
    sides = np.median(boxes.select("width_px", "height_px").to_numpy(), axis=0)
    assert abs(TRAITS["bccd"].field_mpp * sides.mean() / RED_CELL_UM - 1) < 0.02
