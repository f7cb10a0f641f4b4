"""Shares of the true classes from what a fallible classifier called: three estimates, each a pure function.

In: probabilities or counted calls, and what is known of the classifier. Out: shares that are not negative and
add up to one. All three assume that a cell of a class looks the same whatever the mix (label shift): rates of
error move between laboratories with stain and optics, and no correction here knows that.

The reported one is :func:`fit_mixture`; ``docs/results/intervals.md`` has the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-300


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often cells of each true class were called what, out of fold.

    Attributes:
        true_classes: names, one a row.
        calls: names of the classes that can be called, one a column.
        counts: cells, a tuple a row.
        has_unclassified: whether a last column beyond ``calls`` counts the cells whose call was under the
            stated confidence; they then stand in no other column.
    """

    true_classes: tuple[str, ...]
    calls: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    has_unclassified: bool

    def __post_init__(self) -> None:
        width = len(self.calls) + self.has_unclassified
        if len(self.counts) != len(self.true_classes) or any(len(row) != width for row in self.counts):
            raise ValueError(f"a confusion matrix needs {len(self.true_classes)} rows of {width} counts")
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError("a confusion matrix has no negative count")

    @property
    def cells(self) -> int:
        """Cells that it rests on."""
        return sum(map(sum, self.counts))


def adjust_to_prior_shift(
    probabilities: Floats, training_prior: Floats, tolerance: float = 1e-9, most_rounds: int = 1000
) -> Floats:
    r"""Return the shares of the classes by expectation maximisation on the classifier's probabilities.

    With probabilities :math:`p_t(i|x)` of a classifier whose training set had shares :math:`\pi_t`, iterate

    .. math::
        p(i|x) \propto \frac{\pi_i}{\pi_{t,i}} p_t(i|x), \qquad \pi_i = \frac{1}{N} \sum_x p(i|x)

    (Saerens, Latinne and Decaestecker, Neural Computation 2002, doi 10.1162/089976602753284446). It is
    efficient where the probabilities are calibrated on the cells at hand, and biased where they are not.

    Args:
        probabilities: (N, K), rows add up to one.
        training_prior: (K,), shares of the classes that the probabilities presuppose, all positive.
        tolerance: largest change of a share at which the iteration ends.
        most_rounds: rounds after which it ends at any rate.

    Returns:
        (K,) shares.

    Raises:
        ValueError: the shapes do not fit, there is no cell, or a prior is not positive.

    >>> calls = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]])
    >>> adjust_to_prior_shift(calls, np.array([0.5, 0.5])).round(3)
    array([0.812, 0.188])
    """
    if probabilities.ndim != 2 or probabilities.shape[1:] != training_prior.shape or not len(probabilities):
        raise ValueError(f"{probabilities.shape} probabilities do not fit {training_prior.shape} priors")
    if not (training_prior > 0).all():
        raise ValueError("every prior of the training set must be positive")
    ratio = probabilities / training_prior
    shares = np.full(len(training_prior), 1.0 / len(training_prior))
    for _ in range(most_rounds):
        weighted = ratio * shares
        updated = (weighted / np.maximum(weighted.sum(axis=1, keepdims=True), _TINY)).mean(axis=0)
        change = float(np.abs(updated - shares).max())
        shares = updated
        if change < tolerance:
            break
    return shares


def invert_confusion(rates: Floats, call_shares: Floats) -> Floats:
    r"""Return the shares of the classes that explain the shares of the calls best in least squares.

    .. math::
        \hat\pi = \arg\min_{\pi \ge 0,\ \sum\pi = 1} \lVert R^T \pi - q \rVert_2

    where :math:`R_{ij}` is the rate at which class i is called j and :math:`q` are the shares of the calls:
    black box shift estimation (Lipton, Wang and Smola 2018, arXiv 1802.03916), kept on the simplex. Where
    the plain inverse has no negative share, it is that inverse.

    Args:
        rates: (K, J), rows add up to one; J is K or, with a column of unclassified cells, K + 1.
        call_shares: (J,), add up to one.

    Returns:
        (K,) shares.

    Raises:
        ValueError: the shapes do not fit.

    >>> rates = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> invert_confusion(rates, np.array([0.34, 0.66])).round(3)
    array([0.2, 0.8])
    >>> invert_confusion(rates, np.array([0.05, 0.95])).round(3)
    array([0., 1.])
    """
    if rates.ndim != 2 or call_shares.shape != rates.shape[1:]:
        raise ValueError(f"{rates.shape} rates do not fit {call_shares.shape} calls")
    from scipy.optimize import nnls  # takes long to import, and no count of cells needs it

    # The condition on the sum is a heavily weighted equation: exact to about 1e-8.
    weight = 1e4
    system = np.vstack([rates.T, np.full(rates.shape[0], weight)])
    shares, _ = nnls(system, np.append(call_shares, weight))
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def fit_mixture(rates: Floats, call_shares: Floats, rounds: int) -> Floats:
    r"""Return the most likely shares of the classes given the shares of the calls, for many draws at once.

    Maximises :math:`\sum_j q_j \log \sum_i \pi_i R_{ij}` over the simplex by expectation maximisation:

    .. math::
        \pi_i \leftarrow \pi_i \sum_j R_{ij} \frac{q_j}{\sum_k \pi_k R_{kj}}

    It is the inversion of :func:`invert_confusion` with the multinomial likelihood in place of least squares
    (where that inverse lies inside the simplex and the matrix is square, both agree), and the estimate of
    :func:`adjust_to_prior_shift` with the call in place of the probabilities.

    Args:
        rates: (B, K, J), rows add up to one.
        call_shares: (B, J), add up to one.
        rounds: of the iteration, which starts from equal shares.

    Returns:
        (B, K) shares.

    >>> rates = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    >>> fit_mixture(rates, np.array([[0.34, 0.66]]), rounds=200).round(3)
    array([[0.2, 0.8]])
    """
    # The draws lie along the last axis: NumPy's loops over them are twice as fast as over small matrices.
    by_class, calls = np.ascontiguousarray(rates.transpose(1, 2, 0)), call_shares.T
    shares = np.full((rates.shape[1], rates.shape[0]), 1.0 / rates.shape[1])
    for _ in range(rounds):
        expected = np.einsum("kb,kjb->jb", shares, by_class)
        shares *= np.einsum("kjb,jb->kb", by_class, calls / np.maximum(expected, _TINY))
    return np.ascontiguousarray(shares.T)
