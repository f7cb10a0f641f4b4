from __future__ import annotations

from pathlib import Path

from erythron.datasets.labelled import FoundCell
from erythron.datasets.rotated_names import group_rotated


def test_copies_and_the_cell_that_they_show_share_a_group_and_other_parts_do_not() -> None:
    root = Path("/set")
    cells = [
        FoundCell(root / "train" / "early" / "7.png", "early", split="train"),
        *(
            FoundCell(root / "rotate_train" / "early" / f"7_{a}.png", "early", split="train")
            for a in (15, 30)
        ),
        FoundCell(root / "rotate_train" / "early" / "8_15.png", "early", split="train"),
        FoundCell(root / "rotate_train" / "early" / "8_30.png", "early", split="train"),
        FoundCell(root / "val" / "early" / "7.png", "early", split="validation"),
        FoundCell(root / "train" / "late" / "7.png", "late", split="train"),
    ]
    groups = [c.group for c in group_rotated(root, cells)]
    assert groups[0] == groups[1] == groups[2] == "train/early/7"
    assert groups[3] == groups[4] == "train/early/8"
    assert groups[5:] == ["", ""]


def test_a_group_that_the_source_states_is_kept() -> None:
    cell = FoundCell(Path("/set/a_rot90.png"), "early", group="patient 1")
    assert group_rotated(Path("/set"), [cell]) == [cell]
