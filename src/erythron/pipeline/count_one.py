"""One specimen of a finished run counted again; of the others what lies in their folders is taken.

In: a run of several specimens and the one whose calls changed. Out: its results, and its row in the summary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from erythron.errors import UsageError
from erythron.files.locking import lock_folder
from erythron.files.tables import read_csv, write_csv
from erythron.pipeline.count import Counting, CountRun, describe_specimen
from erythron.pipeline.executor import no_progress
from erythron.pipeline.options import RunOptions
from erythron.pipeline.settings import keep_settings
from erythron.pipeline.specimens import Specimen
from erythron.pipeline.tally import SeenPixels
from erythron.report.model import FailedInput
from erythron.report.tables import make_specimen_summary
from erythron.results.record import read_record
from erythron.results.run import SUMMARY, read_run, write_specimens


def count_one_again(
    specimens: Sequence[Specimen], key: str, out: Path, options: RunOptions
) -> CountRun | None:
    """Count one specimen of a run again and set its row in the summary of the run.

    Args:
        specimens: all of the run.
        key: of the one, see :attr:`erythron.pipeline.specimens.Specimen.key`.
        out: folder of the run.
        options: what the count was told.

    Returns:
        What is counted of it now; None where the run is not whole, and then all of it is to be counted again.

    Raises:
        UsageError: another run writes there.
        OSError: summary or record of the run cannot be written.
    """
    one = next(specimen for specimen in specimens if specimen.key == key)
    with lock_folder(out):
        stored = read_run(out) or {}
        counting = Counting([one], out, options)
        schema = make_specimen_summary((), counting.bundle.classes).schema
        summary = _read_summary(out, schema, [specimen.name for specimen in specimens])
        if summary is None or stored.get("finished") is None:
            return None
        seen = _list_seen([specimen for specimen in specimens if specimen is not one], out)
        [run] = counting.run(no_progress, None, seen)
        row = make_specimen_summary([describe_specimen(one, run)], counting.bundle.classes)
        listed = {specimen.name: [image.name for image in specimen.images] for specimen in specimens}
        failed = _list_failed(stored, listed[one.name])
        failed += [FailedInput(failure.image, failure.reason) for failure in run.failures]
        told = keep_settings(options)
        write_specimens(out, listed, failed, told, finished=False)
        write_csv(_replace_row(summary, row, one.name), out / SUMMARY)
        write_specimens(out, listed, failed, told, finished=True)
    return run


def _read_summary(out: Path, schema: pl.Schema, names: Sequence[str]) -> pl.DataFrame | None:
    """Return the summary of a run; None where it is not the one that this version would write."""
    try:
        # What is further known of specimens is text, whatever it looks like.
        summary = read_csv(out / SUMMARY, dict(schema), all_text=True)
    except (OSError, pl.exceptions.PolarsError):
        return None
    is_own = set(schema) <= set(summary.columns) and summary["specimen"].to_list() == list(names)
    return summary if is_own else None


def _replace_row(summary: pl.DataFrame, row: pl.DataFrame, name: str) -> pl.DataFrame:
    at = summary["specimen"].to_list().index(name)
    whole = pl.concat([summary.clear(), row], how="diagonal")
    return pl.concat([summary[:at], whole.select(summary.columns), summary[at + 1 :]])


def _list_seen(others: Sequence[Specimen], out: Path) -> SeenPixels:
    """Return which pixels the other specimens of a run show."""
    seen: SeenPixels = {}
    for specimen in others:
        for image in specimen.images:
            record = read_record(out / specimen.folder / image.place)
            if record is not None:
                seen.setdefault(record.pixels_sha256, {}).setdefault(specimen.name, record.image)
    return seen


def _list_failed(stored: Mapping[str, Any], again: Sequence[str]) -> list[FailedInput]:
    """Return the images of other specimens that could not be counted.

    Raises:
        UsageError: the record of the run names them otherwise than this version does.
    """
    try:
        found = [FailedInput(one["image"], one["reason"]) for one in stored["failures"]]
    except (KeyError, TypeError) as error:
        raise UsageError("the record of the run is of another version of erythron; count again") from error
    return [one for one in found if one.image not in again]
