"""The decoder learns what a reader draws and keeps the rest; the encoder stays as it is."""

from __future__ import annotations

import numpy as np
import torch

from erythron.bundle.folder import Bundle
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.refit import RefitConfig, Samples, fit_decoder, make_samples
from erythron.train.segmenter.reviewed import Kind, ReviewedOutlines, cut_places, draw_memory

CONFIG = RefitConfig(samples=1, steps=8, batch=8)


def measure_loss(net: SegmentationNetwork, samples: Samples) -> float:
    with torch.no_grad():
        logits = net.decode([part.float() for part in samples.maps])
    return float(torch.nn.functional.binary_cross_entropy_with_logits(logits, samples.targets.float()))


def test_a_fit_comes_nearer_to_the_reader_and_leaves_the_encoder(
    net: SegmentationNetwork, found: ReviewedOutlines
) -> None:
    samples = make_samples(net, found.windows, found.is_correction, CONFIG)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fitted = fit_decoder(net, samples, np.ones(len(found.kind), np.bool_), CONFIG)
    assert measure_loss(fitted, samples) < 0.9 * measure_loss(net, samples)
    for name, value in fitted.state_dict().items():
        assert torch.equal(net.state_dict()[name], before[name])  # what it learned from stays
        if name.startswith(("stem", "blocks")):
            assert torch.equal(value, before[name])


def test_nothing_is_learned_from_windows_that_are_not_allowed(
    net: SegmentationNetwork, found: ReviewedOutlines
) -> None:
    samples = make_samples(net, found.windows, found.is_correction, CONFIG)
    allowed = np.arange(len(found.kind)) % 2 == 0
    other = samples.targets.clone()
    other[torch.from_numpy(~allowed[samples.window])] = 0.5
    spoiled = Samples(samples.maps, other, samples.known, samples.by_person, samples.window)
    one, two = (fit_decoder(net, part, allowed, CONFIG) for part in (samples, spoiled))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_nobody_corrected_is_to_be_said_as_before(bundle: Bundle, net: SegmentationNetwork) -> None:
    found = cut_places([draw_memory(bundle.card.segmenter)], bundle)
    assert set(found.kind) == {Kind.SYNTHETIC}
    few = np.arange(0, len(found.kind), 6)
    samples = make_samples(net, found.windows.take(few), found.is_correction[few], CONFIG)
    assert not samples.by_person.any()
    assert samples.known.all()
    with torch.no_grad():
        said = torch.sigmoid(net.decode([part.float() for part in samples.maps]))
    assert float((said - samples.targets.float()).abs().max()) < 0.02  # what halves are rounded to
