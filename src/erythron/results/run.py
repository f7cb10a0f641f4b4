"""What a run leaves beside its fields: ``run.json``, written and read here alone."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from erythron.errors import UsageError
from erythron.files.naming import as_text
from erythron.files.reading import read_content
from erythron.files.writing import remove, write_file
from erythron.report.model import FailedInput, RunReport
from erythron.results.record import FieldRecord
from erythron.results.run_record import ModelUsed, RunRecord, RunSettings, SpecimensRecord

SUMMARY = "summary.csv"
REPORT = "report.html"
PDF = "report.pdf"
RUN = "run.json"

_AGAIN = "add --force to replace it or choose another --out"


def refuse_other_run(inputs: Sequence[str], out: Path, *, force: bool = False) -> None:
    """Refuse to replace a finished run over inputs that are not given again; more may be added.

    An input that failed left no result, so it need not be given again: its name may have been mistyped.

    Args:
        inputs: the images of the run that is to begin, as the user gave them.
        out: its folder.
        force: replace the run of other inputs; what no run of erythron wrote stays even then.

    Raises:
        UsageError: the folder holds the run of other inputs, or files that no run of erythron wrote.
    """
    try:
        earlier = read_run(out)
    except UsageError:
        if not force:
            raise
        return
    if earlier is None:
        # A run writes its record before these two, so that they are known to be its own.
        for name in (SUMMARY, REPORT):
            if (out / name).exists():
                raise UsageError(
                    f"{out / name} is there and no run of erythron wrote it; move it or choose another --out"
                )
        return
    gone = set(earlier.get("inputs", ())) - _list_failed(earlier) - set(inputs)
    if gone and not force:
        raise UsageError(
            f"{out} holds a finished run over other images, such as {min(gone)}; give these too to add "
            f"images to that run, or {_AGAIN}"
        )


def refuse_other_specimens(names: Collection[str], out: Path, *, force: bool = False) -> None:
    """Refuse to leave a specimen of a run behind: its report would stay, of pictures that another has now.

    Args:
        names: of the specimens of the run that is to begin.
        out: its folder.
        force: leave it behind.

    Raises:
        UsageError: the folder holds results of a specimen that is not named.
    """
    if force:
        return
    earlier = (read_run(out) or {}).get("specimens", ())
    gone = [name for name in earlier if name not in names and (out / name / RUN).exists()]
    if gone:
        raise UsageError(
            f"{out} holds results of the specimen {gone[0]}, which is not named any more: its report, and "
            f"calls of persons in it, would stay beside the others. Name it as before, move {out / gone[0]} "
            f"away, or {_AGAIN}"
        )


def _list_failed(run: Mapping[str, Any]) -> set[str]:
    failures = run.get("failures")
    if not isinstance(failures, list):
        return set()
    return {str(failed.get("image")) for failed in failures if isinstance(failed, dict)}


@dataclass(frozen=True)
class StoredSpecimen:
    """One specimen of a finished run; a run without specimens is one.

    Attributes:
        name: None where the run has no specimens.
        folder: of its results.
        images: as the user gave them.
        details: what else is known of it, such as date or stain.
    """

    name: str | None
    folder: Path
    images: tuple[str, ...]
    details: Mapping[str, str]


def read_settings(out: Path) -> RunSettings:
    """Return what a finished count was told.

    Raises:
        UsageError: the folder holds no finished count of this version.
    """
    try:
        return RunSettings(**_need_run(out)["told"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{out / RUN}: was written by another version of erythron; count again") from error


def read_specimens(out: Path) -> tuple[StoredSpecimen, ...]:
    """Return the specimens of a finished run, in order.

    Raises:
        UsageError: the folder holds no finished count.
    """
    run = _need_run(out)
    if "specimens" not in run:
        return (StoredSpecimen(None, out, tuple(run.get("inputs", ())), run.get("details", {})),)
    return tuple(
        StoredSpecimen(name, out / name, tuple(images), _need_run(out / name).get("details", {}))
        for name, images in run["specimens"].items()
    )


def _need_run(out: Path) -> dict[str, Any]:
    run = read_run(out)
    if run is None:
        raise UsageError(f"{out}: holds no finished count; name the --out folder of erythron count")
    return run


def write_specimens(
    out: Path,
    specimens: Mapping[str, Sequence[str]],
    failed: Sequence[FailedInput],
    settings: RunSettings,
    *,
    finished: bool,
) -> None:
    """Write ``run.json`` of a run over several specimens; each specimen's own lies in its folder.

    Args:
        out: folder of the run.
        specimens: the images of each, as the user gave them.
        failed: those of them that could not be counted.
        settings: what the count was told.
        finished: whether the summary is there already.
    """
    record = SpecimensRecord(
        finished=datetime.now(UTC) if finished else None,
        told=settings,
        inputs=tuple(image for images in specimens.values() for image in images),
        specimens={name: tuple(images) for name, images in specimens.items()},
        failures=tuple(failed),
    )
    write_file(out / RUN, record.model_dump_json(indent=2) + "\n")


def read_run(out: Path) -> dict[str, Any] | None:
    """Return what ``run.json`` of a folder holds, None where there is none.

    Raises:
        UsageError: it is no record of a run.
    """
    try:
        content = json.loads(read_content(out / RUN))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{out / RUN}: is not a record of a run ({error}); {_AGAIN}") from error
    if not isinstance(content, dict) or not _has_names(content):
        raise UsageError(f"{out / RUN}: is not a record of a run; {_AGAIN}")
    return content


def _has_names(run: Mapping[str, Any]) -> bool:
    """Return whether images and specimens are named as a run names them, whatever else was written."""
    specimens = run.get("specimens", {})
    if not isinstance(specimens, dict):
        return False
    listed = (run.get("inputs", []), *specimens.values())
    return all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in listed)


def write_run(
    out: Path,
    inputs: Sequence[str],
    records: Sequence[FieldRecord],
    page: RunReport,
    settings: RunSettings,
    *,
    finished: bool,
) -> None:
    """Write ``run.json``: before summary and page, so that they are known to be erythron's, and after.

    Args:
        out: folder of the run.
        inputs: its images, as the user gave them.
        records: of the fields that are done.
        page: what the report says of the run.
        settings: what the count was told.
        finished: whether summary and page are there already.
    """
    now, started = datetime.now(UTC), page.made_at.astimezone(UTC)
    record = RunRecord(
        started=started,
        finished=now if finished else None,
        seconds=round((now - started).total_seconds(), 3),
        model=ModelUsed(name=page.model_name, sha256=page.model_sha256),
        details={entry.name: entry.value for entry in page.details},
        settings={entry.name: entry.value for entry in page.settings},
        told=settings,
        versions={entry.name: entry.value for entry in page.versions},
        python=platform.python_version(),
        platform=platform.platform(),
        inputs=tuple(inputs),
        done=tuple(records),
        failures=page.failed,
    )
    write_file(out / RUN, record.model_dump_json(indent=2) + "\n")


def remove_old_pdf(out: Path) -> str | None:
    """Remove the print of a page that is written anew, so that no PDF with other figures lies beside it.

    A file that a browser did not print, or to which something was added since, such as a digital signature,
    stays.

    Args:
        out: folder of the page.

    Returns:
        What to tell the user of it; None where no PDF is there.
    """
    pdf = out / PDF
    try:
        content = read_content(pdf)
    except FileNotFoundError:
        return None
    # Chromium names its library as the producer; what is added to a PDF brings a second end of file.
    if b"/Producer (Skia/PDF" not in content or content.count(b"%%EOF") != 1:
        return f"{as_text(pdf)} is not as a browser printed it and stays; it may be of the page before"
    remove(pdf)
    return f"{as_text(pdf)} was of the page before and was removed; give --pdf to print this one"
