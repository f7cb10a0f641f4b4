"""Old against new network on outlines that the new one has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from erythron.bundle.folder import Bundle, load_bundle
from erythron.compare.agreement import mcnemar
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.train.segmenter.outline_comparison import (
    FOLDS,
    assign_places,
    compare_networks,
    find_allowed,
    measure_agreement,
)
from erythron.train.segmenter.reviewed import (
    Kind,
    Picture,
    Place,
    ReviewedField,
    ReviewedOutlines,
    cut_places,
)
from erythron.train.segmenter.use import WINDOW_PX

from .reviews import MPP, SIDES, outline_drawn_field, review_wider


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def segmenter(bundle: Bundle) -> Segmenter:
    return load_segmenter(bundle)


@pytest.fixture(scope="module")
def found(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> ReviewedOutlines:
    return review_wider(tmp_path_factory.mktemp("wider"), bundle)


def test_no_window_that_shows_a_judged_cell_is_learned_from(found: ReviewedOutlines) -> None:
    fold, apart_by = assign_places(found)
    assert apart_by == "place"
    counts = np.bincount(fold, minlength=FOLDS)
    assert counts.max() - counts.min() <= 1
    half = WINDOW_PX / 2 * found.window_mpp / MPP
    for judged in range(FOLDS):
        allowed = find_allowed(found, fold, judged)
        assert allowed.any()
        assert not (allowed & (fold == judged)).any()
        for row in np.flatnonzero(fold == judged):
            outline = found.outlines[row]
            assert outline is not None
            first = np.array([outline.left, outline.top])
            last = first + outline.cell.shape[::-1]
            shows = ((found.places + half > first) & (found.places - half < last)).all(axis=1)
            assert not (shows & allowed).any()


def test_whole_fields_and_specimens_are_kept_apart_where_there_are_enough(
    found: ReviewedOutlines, bundle: Bundle
) -> None:
    places = [Place(Kind.DRAWN, *found.places[i], found.outlines[i]) for i in range(6)]
    light = np.full((*SIDES[::-1], 3), 230, np.uint8)
    for specimens, expected in (("aaaab", "field"), ("abcde", "specimen")):
        fields = (
            ReviewedField(Picture(Path(f"{n}.png"), MPP, name), light, tuple(places))
            for n, name in enumerate(specimens)
        )
        several = cut_places(fields, bundle)
        fold, apart_by = assign_places(several)
        assert apart_by == expected
        assert all(len(set(fold[several.picture == n])) == 1 for n in range(5))
        assert find_allowed(several, fold, 0).sum() == (fold != 0).sum()


def test_a_network_agrees_with_itself_and_not_with_who_sees_nothing(
    bundle: Bundle, segmenter: Segmenter, tmp_path: Path
) -> None:
    picture, outlines = outline_drawn_field(tmp_path, bundle, seed=3)
    kinds = [Kind.ACCEPTED, Kind.REMOVED] * len(outlines)
    places = tuple(Place(kind, *o.nucleus_mask.centre, o) for kind, o in zip(kinds, outlines, strict=False))
    found = cut_places([ReviewedField(picture, np.full((*SIDES[::-1], 3), 230, np.uint8), places)], bundle)
    agreed = measure_agreement(found, found.judged, segmenter)
    accepted = found.kind == Kind.ACCEPTED
    assert agreed.is_right[accepted].all()
    np.testing.assert_allclose(agreed.cell[accepted], 1)
    np.testing.assert_allclose(agreed.nucleus[accepted], 1)
    assert not agreed.cell[~accepted].any()  # they are outlined still

    # A network that outlines nothing is right where the reader took cells away, and nowhere else.
    class Blind(Segmenter):
        def segment_field(self, light: np.ndarray, mpp: float) -> tuple[()]:  # noqa: ARG002
            return ()

    blind = Blind(segmenter.card, segmenter._network)
    gain, was, now = compare_networks(found, segmenter, lambda _: blind)
    assert gain.by_kind[Kind.ACCEPTED] == (accepted.sum(), accepted.sum(), 0)
    assert gain.by_kind[Kind.REMOVED] == ((~accepted).sum(), 0, (~accepted).sum())
    assert (gain.better, gain.worse) == ((~accepted).sum(), accepted.sum())
    assert gain.probability == mcnemar(gain.better, gain.worse)
    assert gain.corrections == (~accepted).sum()
    assert (now.mean - was.mean)[~accepted].min() == 1
    # As many got worse as better, so that alone is no reason to refuse it; nor is it one to judge it by.
    assert gain.dice_probability < 0.05
    assert gain.is_gain == (gain.worse <= gain.better or gain.probability >= 0.05)
    # The same network again is no gain.
    assert not compare_networks(found, segmenter, lambda _: segmenter)[0].is_gain
