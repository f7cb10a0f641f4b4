"""Nuclei measure the scale, whatever scale is assumed at first."""

import numpy as np
import pytest

from erythron.segment.nuclear_scale import (
    MEASURED_AT,
    MIN_NUCLEI,
    NUCLEUS_UM,
    estimate_from_nuclei,
    is_plausible,
)


class BlindNetwork:
    """Finds nuclei of one size from three quarters of the true scale on, and joined ones at less."""

    def __init__(self, mpp, count=40):
        self.mpp, self.count, self.asked = mpp, count, []

    def __call__(self, assumed, most):
        self.asked.append(assumed / self.mpp)
        joined = max(1.0, (0.75 * self.mpp / assumed) ** 0.8)
        return np.full(min(self.count, most), NUCLEUS_UM / self.mpp * joined)


@pytest.mark.parametrize("mpp", [0.08, 0.12, 0.17, 0.25, 0.4, 0.6, 0.8])
def test_estimate_is_the_true_scale_of_a_network_that_is_blind_to_it(mpp):
    network = BlindNetwork(mpp)
    estimate = estimate_from_nuclei(network)
    assert estimate is not None
    assert estimate.mpp == pytest.approx(mpp, rel=0.02)
    assert estimate.mpp_low < mpp < estimate.mpp_high
    assert network.asked[-1] == pytest.approx(MEASURED_AT, rel=0.2)


def test_the_interval_is_wider_with_fewer_nuclei_and_counts_them():
    many, few = (estimate_from_nuclei(BlindNetwork(0.25, count)) for count in (50, 6))
    assert many is not None
    assert few is not None
    assert few.mpp_high / few.mpp_low > 1.2 * many.mpp_high / many.mpp_low
    assert (few.nuclei, few.red_cells, few.is_sure) == (6, 0, False)


def test_too_few_nuclei_give_no_scale():
    assert estimate_from_nuclei(BlindNetwork(0.25, MIN_NUCLEI - 1)) is None


def test_nuclei_of_a_segmented_field_speak_for_or_against_its_scale():
    nuclei = np.full(20, 30.0)
    assert is_plausible(nuclei, 0.25)
    assert not is_plausible(nuclei, 0.12)
    assert not is_plausible(nuclei, 0.5)
    assert is_plausible(nuclei[: MIN_NUCLEI - 1], 0.5)
