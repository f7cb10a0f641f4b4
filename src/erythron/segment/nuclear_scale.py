"""Microns per pixel of a field from the size of its nuclei.

The segmentation network is nearly blind to scale: shown a field at its true scale or at up to twice that, it
outlines nuclei of the same size in pixels, and at less than three quarters of it joins neighbours. So nuclei
are measured at 1.4 times the scale that they themselves give, which a few passes over some of them find. What
turns pixels into microns is that the mean nucleus of whole marrow fields hardly differs between laboratories.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from erythron.segment.scale import ScaleEstimate

Floats = NDArray[np.float64]

NUCLEUS_UM = 6.95
"""Mean diameter of nuclei measured at ``MEASURED_AT`` times the true scale, in microns.

Mean over the sources of ``benchmarks/scale.py``, each weighing one; leaving one out moves it by 5 % at most.
"""

NUCLEUS_SPREAD = 0.11
"""Standard deviation of the logarithm of that mean between fields, each source predicted by the others.

The median of the diameters has 0.16, their quartiles 0.16 and 0.17, the root mean square 0.12.
"""

WITHIN_FIELD = 0.35
"""Standard deviation of the logarithm of the diameter within a field."""

MEASURED_AT = 1.4
"""Assumed over true scale at which nuclei are measured: amid the scales at which their size is the same."""

SETTLED = 1.2
"""Factor within which a pass must have been at ``MEASURED_AT`` times its own estimate to be the last."""

FIRST_MPP = 0.4
"""Assumed scale of the first pass: at too large a scale nuclei are still found, at too small ones joined."""

MOST_PASSES = 5
"""Passes; from 0.08 to 0.8 um per pixel four are enough."""

SAMPLE = 60
"""Places that a pass looks at; more make no surer estimate, for fields differ by more than they sample."""

MIN_NUCLEI = 5
"""Nuclei under which there is no estimate."""

PLAUSIBLE_UM = (6.0, 10.5)
"""Mean nucleus of a segmented field between which its scale may be right.

At 0.6 of the true scale the mean is 6.0, at the true one 7.5, at 1.5 of it 10.5 (``benchmarks/scale.py``).
"""


def estimate_from_nuclei(sample: Callable[[float, int], Floats]) -> ScaleEstimate | None:
    """Estimate the scale of a field from its nuclei.

    Args:
        sample: from assumed microns per pixel, and places to look at, to the diameters of the nuclei there in
            pixels; :meth:`erythron.segment.segmenter.Segmenter.sample_nuclei` of a field.

    Returns:
        None where a pass finds fewer than five nuclei.
    """
    assumed, estimate = FIRST_MPP, None
    for _ in range(MOST_PASSES):
        diameters = sample(assumed, SAMPLE)
        if len(diameters) < MIN_NUCLEI:
            return None
        mpp = NUCLEUS_UM / float(np.mean(diameters))
        spread = 1.96 * float(np.hypot(NUCLEUS_SPREAD, WITHIN_FIELD / np.sqrt(len(diameters))))
        estimate = ScaleEstimate(mpp, mpp * np.exp(-spread), mpp * np.exp(spread), 0, len(diameters))
        if abs(np.log(MEASURED_AT * mpp / assumed)) < np.log(SETTLED):
            return estimate
        assumed = MEASURED_AT * mpp
    return estimate


def is_plausible(diameters: Floats, mpp: float) -> bool:
    """Return whether the nuclei of a field that was segmented at some scale have the size of nuclei there.

    Args:
        diameters: (N,) of whole nuclei, in pixels. Fewer than five say nothing against the scale.
        mpp: microns per pixel that the field was segmented at.
    """
    if len(diameters) < MIN_NUCLEI:
        return True
    return bool(PLAUSIBLE_UM[0] <= float(np.mean(diameters)) * mpp <= PLAUSIBLE_UM[1])
