"""A result is signed: counted again with a person's calls, marked as signed, and its version kept.

In: the folder of a run and the reviews of its fields. Out: ``signatures.json``, a report that says who
signed, and copies of report and tables of the version in the folder ``signed-versions``, which no later count
changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from erythron.errors import DataError, ErythronError
from erythron.files.reading import read_content
from erythron.files.tables import format_csv
from erythron.files.writing import write_file
from erythron.pipeline.count import CountRun
from erythron.pipeline.finished import find_run
from erythron.pipeline.options import Signing
from erythron.pipeline.recount import recount_reviews
from erythron.results.field import read_cells
from erythron.results.record import read_record
from erythron.results.run import REPORT, SUMMARY
from erythron.results.signature import Signature, hash_result, read_signatures, write_signatures
from erythron.review.record import Review

VERSIONS = "signed-versions"
"""Folder beside a result that holds each signed version of it."""


def sign_result(
    out: Path, reviews: Mapping[Path, Review], known: Mapping[Path, Review | None], signing: Signing
) -> Signature:
    """Count a run again with reviews and sign the result of one specimen.

    Args:
        out: folder of the run.
        reviews: the whole review of each reviewed field, by the path of its image.
        known: the reviews from which these were grown, see :func:`erythron.pipeline.recount.recount_reviews`.
        signing: who signs what.

    Returns:
        The signature as it is kept.

    Raises:
        UsageError: the folder holds no finished count, or another run writes there.
        DataError: a field could not be counted again, or another program changed a review.
    """
    try:
        return _sign(out, reviews, known, signing)
    except Exception:
        # The report says already what was about to be; what is not signed must not look so.
        with suppress(ErythronError, OSError):
            recount_reviews(out, {}, signing.specimen)
        raise


def _sign(
    out: Path, reviews: Mapping[Path, Review], known: Mapping[Path, Review | None], signing: Signing
) -> Signature:
    run = _count(out, reviews, known, signing)
    finished = find_run(out)
    specimen = next(one for one in finished.specimens if one.key == signing.specimen)
    folders = [finished.folders[image.path] for image in specimen.images]
    records = [record for folder in folders if (record := read_record(folder)) is not None]
    signature = Signature(
        version=signing.version,
        reader=signing.reader,
        at=signing.at,
        nucleated_cells=run.differential.nucleated_cells,
        confirmed_cells=0 if run.review is None else run.review.confirmed_nucleated,
        sha256=hash_result(records),
    )
    place = out / specimen.folder
    _keep_version(place, folders, signing.version)
    # Last, so that a signature which was cut short is done again at the next start.
    earlier = [known for known in read_signatures(place) if known.version < signing.version]
    write_signatures(place, [*earlier, signature])
    return signature


def _count(
    out: Path, reviews: Mapping[Path, Review], known: Mapping[Path, Review | None], signing: Signing
) -> CountRun:
    """Count a run again; what could not be counted before the review need not be now."""
    finished = find_run(out)
    done = {path for path, folder in finished.folders.items() if read_record(folder) is not None}
    run = recount_reviews(out, reviews, signing.specimen, signing, known)
    for failure in run.failures:
        path = Path(failure.image)
        if path in done or path not in finished.folders:
            raise DataError(f"{out}: could not be counted again: {failure.reason}")
    return run


def _keep_version(place: Path, folders: list[Path], version: int) -> None:
    """Copy report and tables of a signed result to where no later count writes."""
    kept = place / VERSIONS
    kept.mkdir(exist_ok=True)
    for name in (REPORT, SUMMARY):
        write_file(kept / f"version-{version}-{name}", read_content(place / name))
    tables = [read_cells(folder) for folder in folders if read_record(folder) is not None]
    if tables:
        write_file(kept / f"version-{version}-cells.csv", format_csv(pl.concat(tables)))
