"""What makes two results the same result: a fingerprint for each step, over all that the step depends on.

The steps build on one another: outlines, calls, differential, page. A step is done again where its own
fingerprint differs, and with it those that follow; those before it are kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from erythron import __version__
from erythron.bundle.folder import CARD, SEGMENTATION, Bundle
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.differential.counts import SCHEMA_VERSION
from erythron.differential.me_ratio import MERatio
from erythron.files.hashing import hash_bytes, hash_file, hash_text
from erythron.read.companions import list_slide_files
from erythron.read.fields import explain_refusal


@dataclass(frozen=True)
class Fingerprints:
    """One SHA-256, 64 hexadecimal digits, for each step of a field.

    Attributes:
        outlines: of the image's bytes and name, the scale that was given, the segmentation network, how it is
            used and what computes it, and the version of erythron.
        calls: of the outlines and the whole model.
        differential: of the calls, what persons called the cells, the reference ranges and the width that
            "count more" aims at.
        page: of the calls, what persons called the cells, and how many fields the page shows in full.
    """

    outlines: str
    calls: str
    differential: str
    page: str


@dataclass(frozen=True)
class StepSettings:
    """What the steps of every field of a run depend on besides its image.

    Attributes:
        bundle: the model.
        mpp: microns per pixel given by the user, or None.
        reference_sha256: of the file of reference ranges; empty for the shipped ones.
        width: of a stage's interval that "count more" aims at, 0 to 1.
        runtime: what computes the networks; two agree to about 1e-5, which can turn a call that is a tie.
        me_ratio: which cells the numerator of M:E counts.
    """

    bundle: Bundle
    mpp: float | None = None
    reference_sha256: str = ""
    width: float = 0.05
    runtime: RuntimeKind = RuntimeKind.OPENVINO
    me_ratio: MERatio = MERatio.ICSH


def fingerprint(*parts: object) -> str:
    """Return one SHA-256 over text, numbers and None, as hexadecimal."""
    return hash_text(json.dumps(parts, sort_keys=True))


def fingerprint_outlines(settings: StepSettings, name: str, sha256: str) -> str:
    """Return the fingerprint of the outlines of an image.

    Args:
        settings: of the run.
        name: of the image as its table states it; empty where it is stated nowhere.
        sha256: of the image's bytes.
    """
    card = settings.bundle.card
    network = (card.files[SEGMENTATION], card.segmenter.model_dump_json(), card.framing.model_dump_json())
    return fingerprint("outlines", __version__, name, sha256, settings.mpp, settings.runtime, *network)


def fingerprint_calls(settings: StepSettings, outlines: str) -> str:
    """Return the fingerprint of calls from that of the outlines.

    It covers what estimates are made with besides the model, because a differential of which only the
    fingerprint of the third step differs keeps its estimates.
    """
    return fingerprint("calls", outlines, hash_bundle(settings.bundle), SCHEMA_VERSION, settings.me_ratio)


def fingerprint_steps(
    settings: StepSettings, name: str, sha256: str, fields_shown: int = 0, review_sha256: str = ""
) -> Fingerprints:
    """Return the fingerprints of all steps of a field.

    Args:
        settings: of the run.
        name: of the image as its table states it.
        sha256: of the image's bytes.
        fields_shown: fields that the page shows in full; 0 where it does not show this one.
        review_sha256: of what persons called its cells; empty where nobody did.
    """
    outlines = fingerprint_outlines(settings, name, sha256)
    calls = fingerprint_calls(settings, outlines)
    return Fingerprints(
        outlines,
        calls,
        fingerprint("differential", calls, settings.reference_sha256, settings.width, review_sha256),
        fingerprint("page", calls, fields_shown, review_sha256),
    )


def hash_image(path: Path) -> str:
    """Return the SHA-256 of an image as hexadecimal: over names and bytes of all files that make it up.

    Of an image in one file it is that of its bytes. Every byte is read, whatever the size of the files, so
    that no change of a slide goes unnoticed; memory does not grow with them.

    Raises:
        ImageReadError: a file is not there or may not be read; the message gives the next step.
    """
    try:
        parts = list_slide_files(path)
    except OSError as error:
        raise explain_refusal(path, error) from error
    if parts == (path,):
        return _hash_part(path)
    # By place, so that a slide that is copied elsewhere with all its files stays the same.
    return fingerprint(*((part.relative_to(path.parent).as_posix(), _hash_part(part)) for part in parts))


def _hash_part(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise explain_refusal(path, error) from error


def hash_pixels(rgb: NDArray[np.uint8]) -> str:
    """Return the SHA-256 over size and pixels of an image, (H, W, 3) uint8, as hexadecimal."""
    return hash_bytes(f"{rgb.shape[1]}x{rgb.shape[0]}:".encode() + np.ascontiguousarray(rgb).tobytes())


def hash_bundle(bundle: Bundle) -> str:
    """Return one hash for a model: that of its ``model.json``, which holds those of its other files."""
    return hash_file(bundle.path / CARD)
