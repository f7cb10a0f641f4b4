"""What the scale of most fields of a specimen says of those that show none themselves.

In: the records of its fields. Out: a flag. No field is counted by the scale of another: its results depend on
its own image alone, in whatever order and with whatever others it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from erythron.quality.flags import SCALE_OF_OTHER_FIELDS, QualityFlag
from erythron.read.image import ScaleSource
from erythron.results.record import FieldRecord
from erythron.segment.scale import SURE_RED_CELLS

AGREES = 1.25
"""Factor within which scales agree: those on eight red cells or more are within it of the truth in 97 %.

``benchmarks/scale.py`` measures it.
"""

FEWEST_SURE = 3
"""Fields with a sure scale from which they speak for the others: of two that agree both may be off."""

_NAMED = 5


def judge_shared_scale(records: Sequence[FieldRecord]) -> QualityFlag | None:
    """Return the flag of fields whose scale is not sure, and is none or not that of the others; None without.

    Compared are fields of one size in pixels and one kind of file, as one camera leaves them, of which at
    least three have a scale of their file or of eight red cells, all within 1.25 of their median.

    Args:
        records: of the fields of a specimen.
    """
    kinds: dict[tuple[int, int, str], list[FieldRecord]] = {}
    for record in records:
        if record.slide is None and record.mpp_source is not ScaleSource.OPTION:
            kind = (record.width_px, record.height_px, Path(record.image).suffix.lower())
            kinds.setdefault(kind, []).append(record)
    told, count = [], 0
    for alike in kinds.values():
        sure = [record.mpp for record in alike if record.mpp is not None and _is_sure(record)]
        if len(sure) < FEWEST_SURE or not _all_near(sure, median(sure)):
            continue
        middle = median(sure)
        odd = [r for r in alike if not _is_sure(r) and (r.mpp is None or not _all_near([r.mpp], middle))]
        if odd:
            again = (
                f"count {'again' if len(kinds) == 1 else 'those again by themselves'} with --mpp {middle:.3g}"
            )
            told.append(f"{_describe(odd, alike, sure)}: if one camera took them all, {again}")
            count += len(odd)
    return QualityFlag(SCALE_OF_OTHER_FIELDS, "; ".join(told), float(count)) if told else None


def _describe(odd: Sequence[FieldRecord], alike: Sequence[FieldRecord], sure: Sequence[float]) -> str:
    named = ", ".join(Path(record.image).name for record in odd[:_NAMED])
    more = "" if len(odd) <= _NAMED else f" and {len(odd) - _NAMED} more"
    return (
        f"in {len(odd)} of {len(alike)} fields of one size nothing shows a sure scale, and none or another "
        f"one was used ({named}{more}); {len(sure)} of the others agree on {median(sure):.3g} microns per "
        f"pixel ({min(sure):.3g} to {max(sure):.3g})"
    )


def _is_sure(record: FieldRecord) -> bool:
    if record.mpp_source is ScaleSource.METADATA:
        return True
    return record.mpp_source is ScaleSource.RED_CELLS and (record.red_cells or 0) >= SURE_RED_CELLS


def _all_near(scales: Iterable[float], middle: float) -> bool:
    return all(middle / AGREES <= mpp <= middle * AGREES for mpp in scales)
