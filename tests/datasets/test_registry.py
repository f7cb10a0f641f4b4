from __future__ import annotations

from pathlib import Path

import pytest

from erythron.cells.classes import find_type
from erythron.datasets.registry import find_origin, find_registered, load_registry
from erythron.datasets.sets import BMEC, READERS
from erythron.errors import DataError
from erythron.train.classifier.frozen.partial_labels import find_open


def test_every_registered_set_has_a_reader_and_every_reader_a_set() -> None:
    readable = {name for name, entry in load_registry().items() if entry.part_of is None}
    assert readable == {*READERS, BMEC, "deepheme"}


@pytest.mark.parametrize("entry", load_registry().values(), ids=lambda e: e.name)
def test_an_entry_is_complete(entry) -> None:  # type: ignore[no-untyped-def]
    assert (entry.url is None) == (entry.file is None)
    assert {entry.part_of, entry.subset_of} <= {None, *load_registry()}
    assert entry.licence
    # A part of another set adds masks, every other one cells that something can be learned from.
    assert bool(entry.adds) is (entry.part_of is None)
    for name in entry.adds:
        assert find_type(name).name == name
    if entry.url is not None and "github.com" in str(entry.url):
        # A branch's name would fetch something else tomorrow.
        assert any(
            len(part) >= 7 and set(part) <= set("0123456789abcdef")
            for part in str(entry.url).replace(".zip", "").split("/")
        )


def test_sets_whose_licence_forbids_it_train_no_shipped_weights() -> None:
    forbidden = {name for name, entry in load_registry().items() if not entry.trains_shipped_weights}
    assert forbidden == {"segmentation_WBC", "bmec", "deepheme"}


def test_what_a_set_adds_is_said_in_words() -> None:
    assert find_registered("bmec").say_adds() == "the four erythroid stages"
    assert find_registered("matek").say_adds().startswith("erythroblast, proerythroblast, blast, promyelo")
    staged = [name for name, entry in load_registry().items() if entry.has_stages]
    assert staged == ["bmec", "pathology-bites-cells", "deepheme"]


@pytest.mark.parametrize(
    "name",
    [
        "pathology-bites-cells",
        "pbc-acevedo",
        "segmentation_WBC",
        "bcisc",
        "bccd",
        "matek-samples",
        "matek-marrow",
    ],
)
def test_what_a_set_is_said_to_add_is_in_it(name: str, data_dir: Path) -> None:
    labels = {cell.source_label for cell in READERS[name](data_dir / name)}
    types = {find_type(label) for label in labels}
    assert {t.name for t in types if find_open(t)} == set(find_registered(name).adds)


def test_sets_of_one_laboratory_have_one_origin() -> None:
    assert find_origin("matek-marrow") == find_origin("matek") != "matek"
    assert find_origin("bmec") == "bmec"
    assert find_origin("mine") == "mine"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'x' is no known set; known are bmec, pathology"):
        find_registered("x")
