"""Shares, indices and their limits as text: in the page, in a notebook and on the terminal alike."""

from __future__ import annotations

from erythron.differential.counts import Estimate, Index, ReferenceRange
from erythron.differential.intervals import Interval


def format_percent(fraction: float | None) -> str:
    """Return a fraction as per cent with one decimal, or an en dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def format_ratio(value: float | None) -> str:
    """Return a ratio with two decimals, or an en dash for None."""
    return "–" if value is None else f"{value:.2f}"


def format_with_limits(
    value: float | None, interval: tuple[float | None, float | None] | None, *, is_share: bool
) -> str:
    """Return ``value (low–high)``, shares in per cent; an upper limit of None is "no limit".

    >>> format_with_limits(0.05, (0.0164, 0.1128), is_share=True)
    '5.0 (1.6–11.3)'
    """
    show = format_percent if is_share else format_ratio
    if value is None:
        return "–" if is_share else "not defined"
    if interval is None:
        return show(value)
    low, high = interval
    return f"{show(value)} ({show(low)}–{'no limit' if high is None else show(high)})"


def format_limits(interval: Interval) -> str:
    """Return an interval of fractions as per cent.

    >>> format_limits(Interval(0.0164, 0.1128))
    '1.6–11.3'
    """
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def format_index(index: Index) -> str:
    """Return the value of an index: a share in per cent, a ratio with two decimals, or "not defined"."""
    if index.value is None:
        return "not defined"
    return f"{100 * index.value:.1f} %" if index.kind == "share" else format_ratio(index.value)


def format_index_limits(index: Index) -> str:
    """Return the limits of an index as :func:`format_index` writes its value."""
    if index.value is None or index.interval is None:
        return "–"
    if index.kind == "share":
        return f"{format_limits(index.interval)} %"
    return f"{index.interval.low:.2f}–{index.interval.high:.2f}"


def format_estimate(estimate: Estimate | None, is_share: bool) -> str:
    """Return a corrected value, a share in per cent; an en dash where there is none."""
    if estimate is None or estimate.value is None:
        return "–"
    return format_percent(estimate.value) if is_share else format_ratio(estimate.value)


def format_estimate_limits(estimate: Estimate | None, is_share: bool) -> str:
    """Return the limits of a corrected value; an upper limit of None is "no limit"."""
    if estimate is None or estimate.interval is None:
        return "–"
    low, high = estimate.interval
    if is_share:
        return f"{format_percent(low)}–{format_percent(high)}"
    return f"{low:.2f}–no limit" if high is None else f"{low:.2f}–{high:.2f}"


def format_range(reference: ReferenceRange | None, is_share: bool) -> str:
    """Return a reference range, a share in per cent; an en dash where there is none."""
    if reference is None:
        return "–"
    low, high = (
        None if limit is None else f"{100 * limit:.3g}" if is_share else f"{limit:.3g}"
        for limit in (reference.low, reference.high)
    )
    unit = " %" if is_share else ""
    if low is None:
        return f"up to {high}{unit}"
    return f"from {low}{unit}" if high is None else f"{low}–{high}{unit}"
