from __future__ import annotations

from pathlib import Path

from erythron.results.repeated import drop_repeated


def test_folders_without_a_record_are_kept(tmp_path: Path) -> None:
    """A table of cells alone, as a reader may lay into a folder, says nothing of pixels."""
    assert drop_repeated([tmp_path / "a", tmp_path / "b"], tmp_path) == [tmp_path / "a", tmp_path / "b"]
