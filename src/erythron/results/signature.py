"""``signatures.json`` in the folder of a result: who signed which version of it; written and read here alone.

A signature is of one state of the result: the tables of all its fields and what persons called their cells. A
report says that the result is signed only while that is its state.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from erythron.errors import DataError
from erythron.files.hashing import hash_text
from erythron.files.reading import read_content
from erythron.files.writing import write_file
from erythron.quality.flags import QualityFlag
from erythron.results.record import FieldRecord

SIGNATURES = "signatures.json"


class Signature(BaseModel):
    """A person's signature of a result.

    Attributes:
        version: 1 for the first signature of the result, then one more each.
        reader: who signed, as that person gave the name.
        at: when, with a time zone.
        nucleated_cells: cells of the signed differential.
        confirmed_cells: those of the nucleated cells that a person has called.
        sha256: of the signed state, see :func:`hash_result`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    reader: str
    at: AwareDatetime
    nucleated_cells: int
    confirmed_cells: int
    sha256: str


def hash_result(records: Iterable[FieldRecord]) -> str:
    """Return one SHA-256 over the state of a result, as hexadecimal.

    Args:
        records: of its fields; their order does not count.
    """
    parts = sorted(f"{r.image}\n{r.cells_sha256}\n{r.review_sha256}\n" for r in records)
    return hash_text("".join(parts))


def flag_other_state(last: Signature) -> QualityFlag:
    """Return the flag of a result that is another one since it was signed last."""
    text = f"version {last.version}, signed by {last.reader}, is of another state of this result: sign again"
    return QualityFlag("signature_of_another_state", text)


def read_signatures(folder: Path) -> tuple[Signature, ...]:
    """Return the signatures of a result, the first one first; none where nobody has signed.

    Raises:
        DataError: there are some that cannot be read.
    """
    path = folder / SIGNATURES
    try:
        return _adapter.validate_json(read_content(path))
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); put it back from a copy, or sign again"
        ) from error


def write_signatures(folder: Path, signatures: Iterable[Signature]) -> None:
    """Write the signatures of a result."""
    write_file(folder / SIGNATURES, _adapter.dump_json(tuple(signatures), indent=2).decode() + "\n")


_adapter = TypeAdapter(tuple[Signature, ...])
