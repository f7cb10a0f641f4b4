"""Sentences of the page that depend on what was counted: the scale, sources of ranges, what more to count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from erythron.differential.counts import CellsNeeded, ClassCount, Differential, Index
from erythron.differential.indices import NUCLEATED_RED_CELLS
from erythron.read.image import ScaleSource
from erythron.report.model import FieldReport, ReviewReport
from erythron.report.numbers import format_measure, format_range, format_scale, scale_value

_SCALE_SOURCES = {
    ScaleSource.OPTION: "given by the user",
    ScaleSource.METADATA: "from the image file",
    ScaleSource.RED_CELLS: "estimated from the red cells",
    ScaleSource.NUCLEI: "estimated from the nuclei",
}

_UNCOUNTABLE = {
    "scale_unknown": "in fields whose scale is not known",
    "magnification_too_low": "in fields with too little magnification",
}
"""Flags of fields of which no cell is counted, and where such cells are."""


FEWEST_WHITE_CELLS = 100
"""White cells beside which nucleated red cells are counted, as the figure itself says; the reference method
counts 200 a reader (CLSI H20-A2, 2007)."""


def describe_scale(field: FieldReport) -> str:
    """Return the scale of a field and where it comes from, in words."""
    if field.mpp is None:
        return "not known: sizes are in pixels"
    return f"{format_scale(field.mpp, field.mpp_interval)} µm per pixel, {_SCALE_SOURCES[field.mpp_source]}"


def describe_run_scale(fields: Sequence[FieldReport]) -> str:
    """Return the scale that all fields have, or from where to where it goes; nothing without fields."""
    if not fields:
        return ""
    found = {describe_scale(field) for field in fields}
    if len(found) == 1:
        return next(iter(found))
    scales = [field.mpp for field in fields if field.mpp is not None]
    sources = {field.mpp_source for field in fields}
    if len(scales) < len(fields) or len(sources) != 1:
        return "differs between fields, see each"
    source = _SCALE_SOURCES[sources.pop()]
    return f"{format_scale(min(scales))}–{format_scale(max(scales))} µm per pixel, {source}, see each field"


def list_sources(differential: Differential) -> list[str]:
    """Return a sentence for each source of reference ranges: what they are of, of whom, and who says so."""
    found: dict[tuple[str, str], list[str]] = {}
    lines: list[ClassCount | Index] = [*differential.indices, *differential.classes]
    for line in lines:
        if line.reference is not None:
            found.setdefault((line.reference.population, line.reference.source), []).append(line.title)
    return [
        f"Reference for {', '.join(titles)}: {population}; {source}."
        for (population, source), titles in found.items()
    ]


def list_plans(differential: Differential) -> list[str]:
    """Return a sentence for each question that takes more cells than were counted.

    Limits of reference ranges are asked of the indices alone; ``differential.json`` has them for the classes.
    """
    indices = {index.name for index in differential.indices}
    asked = (plan for plan in differential.count_more if plan.question == "width" or plan.of in indices)
    plans = (_say_plan(plan, differential) for plan in asked)
    return [text for text in plans if text is not None]


def is_counted(differential: Differential) -> bool:
    """Return whether cells of a field are counted at all; not so where stages cannot be told at its scale."""
    return explain_uncounted(differential) is None


def explain_uncounted(differential: Differential) -> str | None:
    """Return why no cell of a field is counted, in the words of its flag; None of a field that is counted."""
    return next((flag.text for flag in differential.flags if flag.name in _UNCOUNTABLE), None)


def explain_left_out(fields: Iterable[Differential]) -> list[str]:
    """Return a sentence for each reason for which cells of fields are in no count.

    Args:
        fields: the differential of each field.
    """
    found: Counter[str] = Counter()
    for field in fields:
        flags = {flag.name: flag for flag in field.flags}
        rest = field.left_out_cells
        if cause := next((words for name, words in _UNCOUNTABLE.items() if name in flags), None):
            found[cause] += rest
            continue
        if drawn := flags.get("region_drawn"):
            outside = min(rest, round(drawn.value or 0))
            found["outside the region that a person drew"] += outside
            rest -= outside
        found["in areas that are out of focus or too thick"] += rest
    return [
        f"{_say_cells(count)} {where} {'is' if count == 1 else 'are'} in no count."
        for where, count in found.items()
        if count
    ]


def explain_nothing(differential: Differential) -> str:
    """Return why no nucleated cell is counted, as the end of a sentence; empty where some are."""
    if differential.nucleated_cells:
        return ""
    if not differential.fields:
        return "no image could be counted"
    if left_out := differential.left_out_cells:
        flags = {flag.name for flag in differential.flags}
        causes = [name.replace("_", " ") for name in _UNCOUNTABLE if name in flags]
        why = f": {' or '.join(causes)}" if causes else ""
        return f"of {left_out} cells that were found each is left out of the count{why}"
    where = "the one field" if differential.fields == 1 else f"any of {differential.fields} fields"
    return f"no nucleated cell is in {where}"


def list_outlines(review: ReviewReport) -> list[str]:
    """Return sentences on what persons changed of the outlines; none where they changed none."""
    found, said = review.outlines, []
    if found.added:
        by_model = found.called_by_model
        call = f", {by_model} of them called by the model alone" if by_model else ""
        said.append(f"{_say_cells(found.added)} {_were(found.added)} added by a person{call}.")
    if found.removed:
        ways = ((found.split, "split into several"), (found.merged, "merged with another"))
        how = ", ".join(f"{number} {way}" for number, way in ways if number)
        call = f" ({how})" if how else ""
        said.append(f"{_say_cells(found.removed)} of the model {_were(found.removed)} taken away{call}.")
    return said


def _say_cells(count: int) -> str:
    return f"{count} {'cell' if count == 1 else 'cells'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def judge_range(line: ClassCount | Index) -> str:
    """Return how a line's value, corrected where it can be, lies to its range.

    ``below`` or ``above`` where the whole interval is outside, the same word in brackets where only the value
    is and the interval reaches into the range, and nothing else.
    """
    if isinstance(line, Index):
        value, limits, corrected = line.value, line.interval, line.corrected
    else:
        share = line.of_nucleated
        value, limits = (None, None) if share is None else (share.fraction, share.interval)
        corrected = line.corrected_of_nucleated
    low, high = limits or (None, None)
    if corrected is not None and corrected.value is not None:
        value = corrected.value
        low, high = corrected.interval or (None, None)
    if line.reference is None or value is None:
        return ""
    least, most = line.reference.low, line.reference.high
    if least is not None and value < least:
        return "below" if high is not None and high < least else "(below)"
    if most is not None and value > most:
        return "above" if low is not None and low > most else "(above)"
    return ""


def describe_range(line: ClassCount | Index) -> str:
    """Return a line's reference range; that of a class without the sign of per cent."""
    if isinstance(line, Index):
        return format_range(line.reference, line.kind == "share")
    return format_range(line.reference, is_share=True).removesuffix(" %")


def end_sentence(text: str) -> str:
    """Return a text as a sentence: a capital letter first, a full stop last."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def shorten_title(title: str) -> str:
    """Return a stage's title for a narrow column: what all stages share left out, with soft hyphens.

    >>> shorten_title("Basophilic erythroblast")
    'Basophilic'
    """
    short = title.removesuffix(" erythroblast")
    return short.replace("erythroblast", "erythro\u00adblast").replace("chromatic", "chro\u00admatic")


def _say_plan(plan: CellsNeeded, differential: Differential) -> str | None:
    """Return how many more cells a question takes as a sentence; None where no more are needed."""
    if plan.more == 0:
        return None
    lines: list[ClassCount | Index] = [*differential.classes, *differential.indices]
    named = {line.name: line.title for line in lines}
    is_share = plan.question == "width" or plan.goal < 1
    goal = format_measure(scale_value(plan.goal, is_share=is_share))
    purpose = (
        f"an interval no wider than {goal} percentage points"
        if plan.question == "width"
        else f"an interval wholly to one side of the reference limit {goal}{' %' if is_share else ''}"
    )
    more = "no reachable number of cells gives" if plan.more is None else f"about {plan.more} more cells give"
    return f"{named.get(plan.of, plan.of)}: {more} {purpose}."


def remark_index(index: Index) -> str:
    """Return what to say beside an index that rests on fewer cells than it speaks of; mostly nothing."""
    white = index.denominator
    if index.name != NUCLEATED_RED_CELLS or index.value is None or white >= FEWEST_WHITE_CELLS:
        return ""
    return (
        f"from {white} white {'cell' if white == 1 else 'cells'} alone, where a blood count takes "
        f"{FEWEST_WHITE_CELLS} or more"
    )
