"""How figures are written: on the page, in a notebook, in ``summary.csv`` and on the terminal.

In: shares as fractions, ratios, their limits. Out: text, or the number in the unit that is shown. Shares are
in per cent with one decimal, ratios have two, coefficients of agreement three; an en dash stands for a value
that is not there. ``summary.csv`` has six significant digits, for those who compute on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erythron.differential.counts import Estimate, Index, ReferenceRange

    Limits = tuple[float, float | None] | tuple[float | None, float | None]
    """Lower and upper limit; None for one that is not there."""

NOTHING = "–"


def scale_value(value: float, *, is_share: bool) -> float:
    """Return a value in the unit that is shown: a share in per cent, a ratio as it is."""
    return 100 * value if is_share else value


def round_figure(value: float) -> float:
    """Return a figure for a table with six significant digits; what follows is the noise of arithmetic.

    >>> round_figure(100 * 0.06875), round_figure(1 / 3)
    (6.875, 0.333333)
    """
    return float(f"{value:.6g}")


def format_value(value: float | None, *, is_share: bool) -> str:
    """Return a share as per cent with one decimal, a ratio with two; an en dash for None.

    >>> format_value(0.1234, is_share=True), format_value(0.1234, is_share=False)
    ('12.3', '0.12')
    """
    if value is None:
        return NOTHING
    return f"{scale_value(value, is_share=is_share):.{1 if is_share else 2}f}"


def format_percent(fraction: float | None) -> str:
    """Return a fraction as per cent with one decimal, or an en dash for None."""
    return format_value(fraction, is_share=True)


def format_ratio(value: float | None) -> str:
    """Return a ratio or a probability with two decimals, or an en dash for None."""
    return format_value(value, is_share=False)


def format_limits(limits: Limits | None, *, is_share: bool = True) -> str:
    """Return an interval, fractions as per cent; without an upper limit "at least" the lower one.

    Only a ratio to what may be none at all has no upper limit, as of M:E where no erythroid cell was called.

    >>> format_limits((0.0164, 0.1128))
    '1.6–11.3'
    >>> format_limits((-0.5, None), is_share=False)
    'at least -0.50'
    """
    if limits is None:
        return NOTHING
    low, high = (format_value(limit, is_share=is_share) for limit in limits)
    return f"at least {low}" if limits[1] is None else _join(low, high)


def format_with_limits(value: float | None, limits: Limits | None, *, is_share: bool) -> str:
    """Return ``value (low–high)``, a share in per cent; a ratio of None is "not defined"."""
    if value is None:
        return NOTHING if is_share else "not defined"
    shown = format_value(value, is_share=is_share)
    return shown if limits is None else f"{shown} ({format_limits(limits, is_share=is_share)})"


TOO_FEW = "too few cells"
"""What stands in place of a corrected figure that may be nearly anything."""

_NEARLY_ALL = 0.9
"""Share of all shares from which an interval spans nearly everything."""


def tells_nothing(estimate: Estimate, *, is_share: bool) -> bool:
    """Return whether the interval of a corrected figure spans nearly everything that it may be."""
    if estimate.interval is None:
        return False
    low, high = estimate.interval
    if is_share:
        return high is not None and high - (low or 0.0) > _NEARLY_ALL
    return high is None and format_ratio(low) == format_ratio(0.0)


def format_estimate_with_limits(estimate: Estimate | None, *, is_share: bool) -> str:
    """Return a corrected value with its limits; nothing where there is none, words where it tells nothing."""
    if estimate is None or estimate.value is None:
        return ""
    if tells_nothing(estimate, is_share=is_share):
        return TOO_FEW
    return format_with_limits(estimate.value, estimate.interval, is_share=is_share)


def format_coefficient(value: float | None, limits: tuple[float, float] | None = None) -> str:
    """Return a coefficient between -1 and 1, such as kappa, with three decimals and its limits.

    >>> format_coefficient(0.5, (0.25, 0.75))
    '0.500 (0.250–0.750)'
    """
    if value is None:
        return "not defined"
    if limits is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({_join(*(f'{limit:.3f}' for limit in limits))})"


def format_index(index: Index) -> str:
    """Return the value of an index: a share in per cent, a ratio with two decimals, or "not defined"."""
    if index.value is None:
        return "not defined"
    is_share = index.kind == "share"
    return format_value(index.value, is_share=is_share) + _unit(is_share)


def format_index_limits(index: Index) -> str:
    """Return the limits of an index as :func:`format_index` writes its value."""
    if index.value is None or index.interval is None:
        return NOTHING
    is_share = index.kind == "share"
    return format_limits(index.interval, is_share=is_share) + _unit(is_share)


def format_estimate(estimate: Estimate | None, is_share: bool) -> str:
    """Return a corrected value, a share in per cent without the sign; an en dash where none is told."""
    if estimate is None or tells_nothing(estimate, is_share=is_share):
        return NOTHING
    return format_value(estimate.value, is_share=is_share)


def format_estimate_limits(estimate: Estimate | None, is_share: bool) -> str:
    """Return the limits of a corrected value, or that cells are too few; an en dash where there are none."""
    if estimate is None:
        return NOTHING
    if tells_nothing(estimate, is_share=is_share):
        return TOO_FEW
    return format_limits(estimate.interval, is_share=is_share)


def format_range(reference: ReferenceRange | None, is_share: bool) -> str:
    """Return a reference range, a share in per cent; an en dash where there is none."""
    if reference is None:
        return NOTHING
    low, high = (
        None if limit is None else format_measure(scale_value(limit, is_share=is_share))
        for limit in (reference.low, reference.high)
    )
    if low is None:
        return f"up to {high}{_unit(is_share)}"
    return f"from {low}{_unit(is_share)}" if high is None else f"{low}–{high}{_unit(is_share)}"


def format_measure(value: float) -> str:
    """Return a measurement or a stated limit with three digits, without zeros that say nothing.

    >>> format_measure(18.0), format_measure(0.1234)
    ('18', '0.123')
    """
    return f"{value:.3g}"


def format_scale(mpp: float, limits: tuple[float, float] | None = None) -> str:
    """Return microns per pixel with four digits and, where it was estimated, its limits.

    >>> format_scale(0.25, (0.245, 0.2553))
    '0.25 (0.245–0.2553)'
    """
    return f"{mpp:.4g}" + ("" if limits is None else f" ({_join(*(f'{limit:.4g}' for limit in limits))})")


def _unit(is_share: bool) -> str:
    return " %" if is_share else ""


def _join(low: str, high: str) -> str:
    """Return two limits as one text; a dash between them would read as the sign of a negative one."""
    return f"{low} to {high}" if "-" in low + high else f"{low}–{high}"
