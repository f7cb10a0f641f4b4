"""What a run leaves beside its fields: ``run.json``, written and read here alone."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from erythron.errors import UsageError
from erythron.files.writing import write_file
from erythron.report.model import RunReport
from erythron.results.record import FieldRecord

SUMMARY = "summary.csv"
REPORT = "report.html"
RUN = "run.json"

_AGAIN = "add --force to replace it or choose another --out"


def refuse_other_run(inputs: Sequence[str], out: Path) -> None:
    """Refuse to replace a finished run over inputs that are not given again; more may be added.

    Args:
        inputs: the images of the run that is to begin, as the user gave them.
        out: its folder.

    Raises:
        UsageError: the folder holds the run of other inputs, or files that no run of erythron wrote.
    """
    earlier = read_run(out)
    if earlier is None:
        for name in (SUMMARY, REPORT):
            if (out / name).exists():
                raise UsageError(f"{out / name} is there and no run of erythron wrote it; {_AGAIN}")
        return
    gone = set(earlier.get("inputs", ())) - set(inputs)
    if gone:
        raise UsageError(
            f"{out} holds a finished run over other images, such as {min(gone)}; give these too to add "
            f"images to that run, or {_AGAIN}"
        )


@dataclass(frozen=True)
class RunSettings:
    """What a count was told, as ``run.json`` keeps it, so that it can be done again with the same.

    Attributes:
        model: bundle folder as given; None for the shipped one.
        mpp: microns per pixel as given; None where the files say them.
        reference: file of reference ranges as given; None for the shipped ones.
        width: of a stage's interval that "count more" aims at, 0 to 1.
        runtime: what computed the networks.
        me_ratio: definition of M:E.
    """

    model: str | None
    mpp: float | None
    reference: str | None
    width: float
    runtime: str
    me_ratio: str


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


def write_specimens(out: Path, specimens: Mapping[str, Sequence[str]], settings: RunSettings) -> None:
    """Write ``run.json`` of a run over several specimens; each specimen's own lies in its folder.

    Args:
        out: folder of the run.
        specimens: the images of each, as the user gave them.
        settings: what the count was told.
    """
    description = {
        "schema_version": 2,
        "command": "count",
        "finished": datetime.now(UTC).isoformat(),
        "told": asdict(settings),
        "inputs": [image for images in specimens.values() for image in images],
        "specimens": {name: list(images) for name, images in specimens.items()},
    }
    write_file(out / RUN, json.dumps(description, indent=2, ensure_ascii=False) + "\n")


def read_run(out: Path) -> dict[str, Any] | None:
    """Return what ``run.json`` of a folder holds, None where there is none.

    Raises:
        UsageError: it is no record of a run.
    """
    try:
        content = json.loads((out / RUN).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{out / RUN}: is not a record of a run ({error}); {_AGAIN}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{out / RUN}: is not a record of a run; {_AGAIN}")
    return content


def write_run(
    out: Path,
    inputs: Sequence[str],
    records: Sequence[FieldRecord],
    page: RunReport,
    settings: RunSettings,
) -> None:
    """Write ``run.json``.

    Args:
        out: folder of the run.
        inputs: its images, as the user gave them.
        records: of the fields that are done.
        page: what the report says of the run.
        settings: what the count was told.
    """
    finished, started = datetime.now(UTC), page.made_at.astimezone(UTC)
    description = {
        "schema_version": 2,
        "command": "count",
        "started": started.isoformat(),
        "finished": finished.isoformat(),
        "seconds": round((finished - started).total_seconds(), 3),
        "model": {"name": page.model_name, "sha256": page.model_sha256},
        "details": {entry.name: entry.value for entry in page.details},
        "settings": {entry.name: entry.value for entry in page.settings},
        "told": asdict(settings),
        "versions": {entry.name: entry.value for entry in page.versions},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "inputs": list(inputs),
        "done": [record.model_dump(mode="json") for record in records],
        "failures": [{"image": failed.image, "reason": failed.reason} for failed in page.failed],
    }
    write_file(out / RUN, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
