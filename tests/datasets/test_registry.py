from __future__ import annotations

import pytest

from erythron.datasets.registry import find_registered, load_registry
from erythron.datasets.sets import BMEC, READERS
from erythron.errors import DataError


def test_every_registered_set_has_a_reader_and_every_reader_a_set() -> None:
    readable = {name for name, entry in load_registry().items() if entry.part_of is None}
    assert readable == {*READERS, BMEC}


@pytest.mark.parametrize("entry", load_registry().values(), ids=lambda e: e.name)
def test_an_entry_is_complete(entry) -> None:  # type: ignore[no-untyped-def]
    assert (entry.url is None) == (entry.file is None)
    assert entry.part_of is None or entry.part_of in load_registry()
    if entry.url is not None and "github.com" in str(entry.url):
        # A branch's name would fetch something else tomorrow.
        assert any(
            len(part) >= 7 and set(part) <= set("0123456789abcdef")
            for part in str(entry.url).replace(".zip", "").split("/")
        )


def test_sets_whose_licence_forbids_it_train_no_shipped_weights() -> None:
    forbidden = {name for name, entry in load_registry().items() if not entry.trains_shipped_weights}
    assert forbidden == {"segmentation_WBC", "bmec"}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'x' is no known set; known are bmec, pathology"):
        find_registered("x")
