"""The record of a counted field: made with its result, and read back as the scale that it was counted at."""

from __future__ import annotations

from erythron.pipeline.field import CountedField
from erythron.read.image import ScaleSource
from erythron.results.field import FieldResult
from erythron.results.fingerprint import Fingerprints, hash_pixels
from erythron.results.record import FieldRecord
from erythron.results.review import hash_review
from erythron.review.record import Review
from erythron.segment.field_scale import FieldScale
from erythron.segment.scale import ScaleEstimate


def read_scale(record: FieldRecord) -> FieldScale | None:
    """Return where the scale of a counted field comes from.

    Returns:
        None where none is known, or where the user gave it and no cell speaks against it.
    """
    if record.mpp is None:
        return None
    if record.mpp_source is ScaleSource.OPTION:
        shown = record.quality.shown_mpp
        return None if shown is None else FieldScale(record.mpp, ScaleSource.OPTION, shown=shown)
    estimate = None
    if record.mpp_interval is not None:
        estimate = ScaleEstimate(record.mpp, *record.mpp_interval, record.red_cells or 0, record.nuclei or 0)
    quality = record.quality
    return FieldScale(record.mpp, record.mpp_source, estimate, quality.stated_mpp, shown=quality.shown_mpp)


def make_result(
    counted: CountedField,
    name: str,
    sha256: str,
    fingerprints: Fingerprints,
    review: Review | None = None,
) -> FieldResult:
    """Return a counted field with the record of where it comes from.

    Args:
        counted: the field.
        name: of the image, as the user gave it.
        sha256: of the image's bytes.
        fingerprints: of its steps.
        review: what persons called its cells, which is in ``counted``; None where nobody did.
    """
    image = counted.image
    scale = None if counted.scale is None else counted.scale.estimate
    record = FieldRecord(
        image=name,
        sha256=sha256,
        pixels_sha256=hash_pixels(image.rgb),
        review_sha256=hash_review(review),
        fingerprints=fingerprints,
        width_px=image.width_px,
        height_px=image.height_px,
        mpp=image.mpp,
        mpp_source=image.mpp_source,
        mpp_interval=None if scale is None else (scale.mpp_low, scale.mpp_high),
        red_cells=None if scale is None else scale.red_cells,
        nuclei=None if scale is None else scale.nuclei,
        quality=counted.quality,
    )
    return FieldResult(record, counted.outlines, counted.cells, counted.differential, review)
