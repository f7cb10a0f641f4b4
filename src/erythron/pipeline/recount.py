"""A finished count with a person's calls: what changed is done again, and nothing else.

In: the folder of a run and files of corrected labels. Out: the review of each field grown by them, and its
table, differential, outlines and page made anew, with summary, report and ``run.json`` of the run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from erythron.cells.class_map import ClassMap, refuse_misspelt
from erythron.cells.outline import clip_mask
from erythron.errors import DataError, UsageError
from erythron.files.locking import lock_folder
from erythron.files.naming import as_text
from erythron.interchange.cells import LabelledCell, check_same_image
from erythron.interchange.labels import find_image
from erythron.pipeline.count import CountRun
from erythron.pipeline.count_one import count_one_again
from erythron.pipeline.count_worker import CountJob, CountTask
from erythron.pipeline.executor import Failure, LocalExecutor, Progress, no_progress
from erythron.pipeline.finished import FinishedRun, count_again, find_run, need_pictures
from erythron.pipeline.options import RunOptions, Signing
from erythron.pipeline.slides.areas import is_in_areas
from erythron.pipeline.stream import CountStream
from erythron.results.edited import drop_edited, keep_edited, put_back_edited
from erythron.results.field import is_edited, need_record, read_cells, read_outlines
from erythron.results.record import CELLS, FieldRecord, read_record
from erythron.results.review import read_review, write_review
from erythron.review.contradictions import refuse_contradictions
from erythron.review.labels import Labels, read_corrections
from erythron.review.match import Proposal, ReviewedField, match_labels
from erythron.review.moved import refuse_moved, refuse_other_count
from erythron.review.record import Review, Verdict

notices = logging.getLogger("erythron.notices")
"""What a person should read who started a review page, which prints no result."""


@dataclass(frozen=True)
class Reading:
    """Who says what labels say, and how they are to be taken.

    Attributes:
        reader: the person's name.
        at: now, with a time zone.
        confirms_all: a label that agrees with the count confirms it; without this only labels that differ
            are taken for a person's calls.
        class_map: what names in the files stand for, before the synonyms are asked.
    """

    reader: str
    at: datetime
    confirms_all: bool = False
    class_map: ClassMap = field(default_factory=dict)


@dataclass(frozen=True)
class Recount:
    """What a recount did.

    Attributes:
        names: of the specimens; None for a run that has none.
        runs: what is counted now, one a specimen.
        changed: cells that are now called otherwise.
        confirmed: cells whose call was confirmed.
        added: cells that the segmentation had missed, among those changed.
        replaced: calls of other persons that are now otherwise, by the name of the person.
        unnamed: cells of the labelled fields that no label names; their calls stay.
        left_out: one reason for every label that could not be taken.
    """

    names: tuple[str, ...] | None
    runs: tuple[CountRun, ...]
    changed: int
    confirmed: int
    added: int
    replaced: Mapping[str, int]
    unnamed: int
    left_out: tuple[str, ...]


def recount(out: Path, files: Sequence[Path], reading: Reading, progress: Progress = no_progress) -> Recount:
    """Take corrected labels into a finished count.

    Args:
        out: folder of the count.
        files: the labels, of any format that :func:`erythron.review.labels.read_corrections` knows. A
            ``cells.csv`` of the run that was edited in its place is restored.
        reading: whose they are.
        progress: called after each image.

    Raises:
        UsageError: the folder holds no finished count, a table in it was edited and is none of ``files``, or
            the class map spells a name otherwise than they do.
        DataError: a file cannot be read, is of an image that the run has not, names unknown classes, or
            contradicts another one.
    """
    finished = find_run(out)
    folders = finished.folders
    need_pictures(folders)
    replaced: Counter[str] = Counter()
    with lock_folder(out):
        for folder in folders.values():
            put_back_edited(folder)
        labels = _assign([found for path in files for found in read_corrections(path)], folders)
        refuse_misspelt(reading.class_map, _list_names(labels), "the labels")
        with _restore_edited(finished, files):
            counted = {path: read_cells(folders[path]) for path in labels}
            tables = [(one, counted[path]) for path, of_image in labels.items() for one in of_image]
            refuse_other_count(tables)
            refuse_moved(tables)
            proposals = {
                path: [_match(one, folders[path], counted[path], reading.class_map) for one in of_image]
                for path, of_image in labels.items()
            }
            for path, of_image in proposals.items():
                said = zip((one.source for one in labels[path]), of_image, strict=True)
                refuse_contradictions(list(said), confirms_all=reading.confirms_all)
            for path, of_image in proposals.items():
                replaced += _grow_review(folders[path], of_image, labels[path], reading)
    runs = count_again(finished, out, progress)
    every = [proposal for of_image in proposals.values() for proposal in of_image]
    return Recount(
        finished.names,
        runs,
        sum(len(proposal.called) for proposal in every),
        sum(len(proposal.agreed) for proposal in every) if reading.confirms_all else 0,
        sum(len(proposal.added) for proposal in every),
        replaced,
        sum(
            len(set[str].intersection(*(set(proposal.unnamed) for proposal in of_image)))
            for of_image in proposals.values()
        ),
        tuple(
            f"{one.source}: {reason}"
            for path, of_image in proposals.items()
            for one, proposal in zip(labels[path], of_image, strict=True)
            for reason in proposal.left_out
        ),
    )


def recount_reviews(
    out: Path,
    reviews: Mapping[Path, Review],
    specimen: str,
    signing: Signing | None = None,
    known: Mapping[Path, Review | None] | None = None,
) -> CountRun:
    """Count a specimen of a finished run again with reviews that did not come in files of labels.

    Args:
        out: folder of the run.
        reviews: the whole review of each field that anybody reviewed, by the path of its image.
        specimen: key of theirs, see :attr:`erythron.pipeline.specimens.Specimen.key`.
        signing: what the report is to say of a signature; None where nobody signs.
        known: the reviews beside the fields from which ``reviews`` were grown, by the path of the image, None
            where a field had none.

    Returns:
        What is counted of the specimen now.

    Raises:
        UsageError: the folder holds no finished count, or another run writes there.
        DataError: an image is none of the specimen's, or another program changed a review since it was read;
            then nothing is written.
    """
    finished = find_run(out)
    number = next(n for n, one in enumerate(finished.specimens) if one.key == specimen)
    folders = {image.path: finished.folders[image.path] for image in finished.specimens[number].images}
    need_pictures(folders)
    with lock_folder(out):
        for image, before in (known or {}).items():
            if read_review(folders[image]) != before:
                raise DataError(
                    f"{image}: another program took in calls of this image at this very moment; nothing was "
                    "written: look at them, then do it again"
                )
        for image, review in reviews.items():
            folder = folders.get(image)
            if folder is None:
                raise DataError(f"{image}: is no image of the specimen {specimen} in {out}")
            if read_review(folder) != review:
                write_review(folder, review)
    finished = replace(finished, options=replace(finished.options, signing=signing))
    run = None
    if finished.names is not None:
        run = count_one_again(finished.specimens, specimen, out, finished.options)
    run = count_again(finished, out)[number] if run is None else run
    if run.old_pdf:
        notices.warning(run.old_pdf)
    return run


def _assign(labels: Sequence[Labels], folders: Mapping[Path, Path]) -> dict[Path, list[Labels]]:
    """Return the labels of each image of a run; those that lie in the folder of a field are of that field."""
    found: dict[Path, list[Labels]] = {}
    by_folder = {folder.resolve(): image for image, folder in folders.items()}
    for one in labels:
        image = by_folder.get(one.source.resolve().parent)
        if image is None and not one.image and len(folders) == 1:
            [image] = folders
        if image is None and not one.image:
            raise DataError(
                f"{one.source}: has no column image, and the run has {len(folders)} images; add that column"
            )
        if image is None:
            try:
                image = find_image(one.image, folders)
            except DataError as error:
                raise DataError(
                    f"{one.source}: has labels for {one.image}, which is no image of this run, or may be "
                    "several; give the labels of this run"
                ) from error
        found.setdefault(image, []).append(one)
    for image in found:
        if read_record(folders[image]) is None:
            raise DataError(f"{image}: was not counted, so no label of it can be taken; count it again")
    return found


def _list_names(labels: Mapping[Path, list[Labels]]) -> set[str]:
    """Return what files call cells."""
    every = [one for of_image in labels.values() for one in of_image]
    in_rows = {name for one in every for row in one.rows for name in (row.counted_as, row.label) if name}
    return in_rows | {cell.label for one in every for cell in one.cells}


def _match(labels: Labels, folder: Path, cells: pl.DataFrame, class_map: ClassMap) -> Proposal:
    """Return what labels say of a counted image; on a slide no cell is added where nothing was counted."""
    record = need_record(folder)
    counted = ReviewedField(cells, partial(read_outlines, folder))
    proposal = match_labels(_fit_to_image(labels, record), counted, class_map)
    slide = record.slide
    if slide is None:
        return proposal
    centres = {cell.cell_id: cell.centre for cell in proposal.added}
    outside = [name for name, centre in centres.items() if not is_in_areas(*centre, slide)]
    reasons = (f"cell {name} lies outside the areas that were counted" for name in outside)
    return replace(
        proposal,
        called={name: called for name, called in proposal.called.items() if name not in outside},
        added=tuple(cell for cell in proposal.added if cell.cell_id not in outside),
        left_out=(*proposal.left_out, *reasons),
    )


def _fit_to_image(labels: Labels, record: FieldRecord) -> Labels:
    """Return labels whose outlines lie in their image; what of one reaches beyond it is no part of a cell.

    Raises:
        DataError: they were drawn on an image of another size.
    """
    width, height = record.width_px, record.height_px
    stated = () if labels.size_px is None else (labels.size_px,)
    instead = f"{labels.source} holds them; give labels that were drawn on this image"
    check_same_image(record.image, labels.cells, stated, (width, height), instead)
    cells, outside = list[LabelledCell](), list[str]()
    for cell in labels.cells:
        whole = clip_mask(cell.cell, width, height)
        nucleus = None if cell.nucleus is None else clip_mask(cell.nucleus, width, height)
        if whole is not None:
            cells.append(replace(cell, cell=whole, nucleus=nucleus))
        elif cell.cell_id is not None:
            cells.append(cell)  # its name tells which one it is
        else:
            x, y = cell.cell.centre
            outside.append(f"the cell at ({x:.0f}, {y:.0f}) lies outside the image")
    return replace(labels, cells=tuple(cells), left_out=(*labels.left_out, *outside))


@contextmanager
def _restore_edited(finished: FinishedRun, files: Sequence[Path]) -> Iterator[None]:
    """Count again the fields whose tables were edited in their place; their edits are in ``files``.

    Where the block fails, the edited tables are put back.
    """
    given = {path.resolve() for path in files}
    edited = []
    for image in (image for specimen in finished.specimens for image in specimen.images):
        folder = finished.folders[image.path]
        record = read_record(folder)
        if record is not None and is_edited(folder, record):
            if (folder / CELLS).resolve() not in given:
                raise UsageError(
                    f"{folder / CELLS} was changed after the count; give it with --labels too, or move it "
                    "away"
                )
            edited.append(CountJob(image, folder, 0))
    try:
        for job in edited:
            keep_edited(job.folder)
        _count_afresh(edited, finished.options)
        yield
    except BaseException:
        for job in edited:
            put_back_edited(job.folder)
        raise
    for job in edited:
        drop_edited(job.folder)


def _count_afresh(jobs: Sequence[CountJob], options: RunOptions) -> None:
    """Count fields again whatever lies in their folders.

    Raises:
        DataError: one cannot be counted.
    """
    if not jobs:
        return
    stream = CountStream(CountTask(replace(options, force=True)))
    for _, outcome in stream.run(jobs, LocalExecutor(), no_progress):
        if isinstance(outcome, Failure):
            raise DataError(outcome.reason)


def _grow_review(
    folder: Path, proposals: Sequence[Proposal], labels: Sequence[Labels], reading: Reading
) -> Counter[str]:
    """Add to the review of a field what labels say, and keep all that was there.

    Returns:
        How many calls of other persons are now otherwise, by the name of the person.
    """
    replaced: Counter[str] = Counter()
    review = read_review(folder) or Review(image=need_record(folder).image)
    counted_as = dict(read_cells(folder).select("cell_id", "counted_as").iter_rows())
    for one, proposal in zip(labels, proposals, strict=True):
        calls = proposal.list_calls(reading.confirms_all)
        verdicts = tuple(
            Verdict(
                cell_id=cell_id,
                called=called,
                was=counted_as.get(cell_id, "missed"),
                reader=reading.reader,
                at=reading.at,
                source=as_text(one.source),
            )
            for cell_id, called in calls.items()
        )
        for verdict in verdicts:
            before = review.holding.get(verdict.cell_id)
            if before and before.called != verdict.called and before.reader != verdict.reader:
                replaced[before.reader] += 1
        known = {cell.cell_id for cell in review.added}
        added = tuple(cell for cell in proposal.added if cell.cell_id not in known)
        review = review.model_copy(
            update={"verdicts": (*review.verdicts, *verdicts), "added": (*review.added, *added)}
        )
        counted_as |= calls
    if review.verdicts:
        write_review(folder, review)
    return replaced
