"""JSON Schemas of the files that a run leaves, made of the classes that write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter

from erythron.differential.counts import Differential
from erythron.results.record import FieldRecord
from erythron.results.run_record import RunRecord, SpecimensRecord
from erythron.review.record import Review

ResultFile = Literal["differential", "record", "review", "run"]
"""A file with a schema; its name without ``.json``."""

_CLASSES: Mapping[ResultFile, Any] = {
    "differential": Differential,
    "record": FieldRecord,
    "review": Review,
    "run": RunRecord | SpecimensRecord,
}


def format_schema(of: ResultFile) -> str:
    """Return the JSON Schema (draft 2020-12) of a file, as the text of a file.

    Its ``$id`` ends with the version of the layout, which the file itself names as ``schema_version``.
    """
    made = TypeAdapter(_CLASSES[of]).json_schema(mode="serialization")
    version = _find_version(made)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:erythron:{of}:{version}",
        "title": f"{of}.json of erythron, version {version} of its layout",
    }
    made.pop("title", None)
    return json.dumps(head | made, indent=2, ensure_ascii=False) + "\n"


def _find_version(schema: Mapping[str, Any]) -> int:
    """Return the version that a schema states; alternatives state the same."""
    if "properties" not in schema:
        name = schema["anyOf"][0]["$ref"].rpartition("/")[2]
        return _find_version(schema["$defs"][name])
    version: int = schema["properties"]["schema_version"]["const"]
    return version
