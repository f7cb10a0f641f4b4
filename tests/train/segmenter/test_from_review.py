"""A run keeps a segmentation network that learned from a review only where that is better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.program import run_program

from erythron.bundle.folder import SEGMENTATION, Bundle
from erythron.bundle.schema import DataSource
from erythron.cli.train import show_outlines
from erythron.errors import BundleError, DataError
from erythron.files.hashing import hash_file
from erythron.files.tables import read_csv
from erythron.train.segmenter import from_review, outline_comparison
from erythron.train.segmenter.from_review import (
    BEFORE_AFTER,
    LEAST_CORRECTIONS,
    SOURCE,
    LearnedOutlines,
    learn_outlines,
)
from erythron.train.segmenter.outline_comparison import OutlineImprovement
from erythron.train.segmenter.refit import RefitConfig
from erythron.train.segmenter.reviewed import Kind, ReviewedOutlines
from erythron.train.segmenter.stored import read_network
from erythron.train.shared.card import render_card
from erythron.train.shared.evaluation import FOLDER as EVALUATION
from erythron.train.shared.segmentation_part import FOLDER, read_segmentation

CONFIG = RefitConfig(samples=2, steps=8, batch=8, new_share=1.0)


@pytest.fixture
def reviewed(found: ReviewedOutlines, monkeypatch: pytest.MonkeyPatch) -> ReviewedOutlines:
    """Makes the review of any run the one of a reader who draws every cell wider than the network.

    It is judged in two halves, which takes half the fits of four folds.
    """
    monkeypatch.setattr(outline_comparison, "FOLDS", 2)
    monkeypatch.setattr(from_review, "gather_outlines", lambda *_: found)
    return found


def test_a_reader_who_draws_wider_is_learned_from_on_cells_that_were_held_out(
    bundle: Bundle, reviewed: ReviewedOutlines, tmp_path: Path
) -> None:
    learned = learn_outlines([], bundle, tmp_path, None, config=CONFIG)
    gain = learned.improvement
    assert gain is not None
    assert not learned.note
    assert gain.is_gain
    assert gain.corrections == len(reviewed.judged)
    assert gain.cell_dice[1] > gain.cell_dice[0] + 0.02
    assert gain.nucleus_dice[1] > gain.nucleus_dice[0] + 0.01
    table = read_csv(tmp_path / EVALUATION / BEFORE_AFTER)
    assert table["cell_dice_after"].mean() == pytest.approx(gain.cell_dice[1], abs=1e-3)
    assert table["reader"].unique().to_list() == [Kind.DRAWN]

    part, path = read_segmentation(tmp_path)
    assert hash_file(path) != hash_file(bundle.segmentation_path)
    read_network(path)  # it can be read, and says in OpenVINO what it says in torch
    assert part.origin.startswith(
        f"taken from {bundle.card.name} {bundle.card.version}, its decoder refitted"
    )
    assert f"to {gain.corrections} outlines" in part.origin
    assert f"{gain.cell_dice[0]:.3f} to {gain.cell_dice[1]:.3f}" in part.origin
    card = render_card(bundle.card.model_copy(update={"outlines_from": part.origin, "detection": None}))
    assert f"its decoder refitted to {gain.corrections} outlines that a reader corrected" in card
    assert part.data[-1].name == SOURCE
    # What was measured of the network of before does not hold of this one.
    assert part.detection is None
    assert set(part.outlines) == {"review_cell_dice_mean", "review_nucleus_dice_mean"}
    figure = part.outlines["review_cell_dice_mean"]
    assert figure.low < gain.cell_dice[1] < figure.high
    assert part.export_difference < 1e-4


def test_no_gain_is_said_and_the_network_of_before_stays(
    bundle: Bundle, reviewed: ReviewedOutlines, tmp_path: Path
) -> None:
    nothing = RefitConfig(samples=1, steps=1, batch=8, rate=0.0)
    learned = learn_outlines([], bundle, tmp_path, wanted=True, config=nothing)
    assert learned.improvement is not None
    assert not learned.improvement.is_gain
    assert "no sure gain" in learned.note
    part, path = read_segmentation(tmp_path)
    assert hash_file(path) == hash_file(bundle.segmentation_path)
    assert part.detection == bundle.card.detection
    assert read_csv(tmp_path / EVALUATION / BEFORE_AFTER).height == len(reviewed.judged)


def test_too_few_corrections_are_refused_in_words(
    bundle: Bundle, found: ReviewedOutlines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = np.arange(LEAST_CORRECTIONS - 1)
    part = ReviewedOutlines(
        found.pictures,
        found.windows.take(few),
        found.kind[few],
        found.picture[few],
        found.places[few],
        found.outlines[: len(few)],
        found.window_mpp,
        pl.DataFrame(),
    )
    monkeypatch.setattr(from_review, "gather_outlines", lambda *_: part)
    with pytest.raises(DataError, match=r"19 outlines were corrected .* learns from 20 on"):
        learn_outlines([], bundle, tmp_path / "a", wanted=True)
    # Unasked the run goes on with the network of before, and says so.
    learned = learn_outlines([], bundle, tmp_path / "b", None)
    assert learned.improvement is None
    assert "learns from 20 on" in learned.note
    assert hash_file(tmp_path / "b" / FOLDER / SEGMENTATION) == hash_file(bundle.segmentation_path)


def test_a_review_without_corrections_and_one_that_is_not_wanted_say_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_review, "gather_outlines", lambda *_: None)
    for name, wanted in (("a", None), ("b", False)):
        learned = learn_outlines([], bundle, tmp_path / name, wanted)
        assert (learned.improvement, learned.note) == (None, "")
        assert (tmp_path / name / FOLDER / SEGMENTATION).exists()
    with pytest.raises(DataError, match="0 outlines were corrected"):
        learn_outlines([], bundle, tmp_path / "c", wanted=True)


def test_a_network_that_learned_from_a_review_does_not_learn_again(
    bundle: Bundle, reviewed: ReviewedOutlines, tmp_path: Path
) -> None:
    mine = DataSource(name=SOURCE, licence="not stated", source="outlines that a reader corrected")
    card = bundle.card.model_copy(update={"outline_data": (*bundle.card.outline_data, mine)})
    again = Bundle(bundle.path, card, bundle.classes)
    with pytest.raises(BundleError, match="has learned from a review already"):
        learn_outlines([], again, tmp_path / "a", wanted=True)
    assert "give the bundle from before" in learn_outlines([], again, tmp_path / "b", None).note
    assert len(reviewed.kind) >= LEAST_CORRECTIONS


@pytest.mark.parametrize("is_gain", [True, False])
def test_the_command_says_what_got_better_and_what_is_kept(
    is_gain: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gain = OutlineImprovement(
        corrections=24,
        fields=1,
        apart_by="place",
        by_kind={"drawn": (20, 17, 19), "removed": (4, 0, 3), "accepted": (60, 60, 59)},
        cell_dice=(0.8, 0.9),
        nucleus_dice=(0.7, 0.85),
        better=5,
        worse=1,
        probability=0.21875,
        dice_probability=0.001,
        is_gain=is_gain,
    )
    show_outlines(LearnedOutlines(gain, "" if is_gain else "it stays"), tmp_path)
    said = capsys.readouterr().out
    assert "24 outlines that were corrected, in fields: 1; each" in said
    assert "cells of one field are alike, so this flatters" in said
    lines = [line.split() for line in said.splitlines()]
    assert ["Drawn", "cells,", "found", "20", "17", "19"] in lines
    assert ["No", "cells,", "not", "outlined", "4", "0", "3"] in lines
    assert ["Their", "nuclei,", "mean", "Dice", "0.700", "0.850"] in lines
    assert "5 got better, 1 worse: exact McNemar test, p = 0.22" in said
    assert ("That is a gain" in said) == is_gain
    assert ("it stays" in said) != is_gain


def test_outlines_without_a_review_are_wrong_usage(tmp_path: Path) -> None:
    done = run_program("train", "--outlines", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "--from-review" in done.stderr
