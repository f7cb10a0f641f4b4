"""``review.json`` in the folder of a field: what persons called its cells; written and read here alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from erythron.errors import DataError
from erythron.files.hashing import hash_text
from erythron.files.reading import read_content
from erythron.files.writing import write_file
from erythron.review.record import Review

REVIEW = "review.json"


def read_review(folder: Path) -> Review | None:
    """Return the review of a counted field, None where nobody has called a cell of it.

    Raises:
        DataError: there is one that cannot be read.
    """
    path = folder / REVIEW
    try:
        return Review.model_validate_json(read_content(path))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); put it back from a copy, or remove it and recount with the "
            "labels"
        ) from error


def write_review(folder: Path, review: Review) -> None:
    """Write the review of a counted field."""
    write_file(folder / REVIEW, format_review(review))


def format_review(review: Review) -> str:
    """Return the text of ``review.json``."""
    return review.model_dump_json(indent=2) + "\n"


def hash_review(review: Review | None) -> str:
    """Return the SHA-256 of a review as hexadecimal; empty where there is none."""
    return "" if review is None else hash_text(format_review(review))
