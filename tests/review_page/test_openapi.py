"""The OpenAPI description is what the server does: no answer that it does not declare, and none of 5xx."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.review_page.conftest import HERE, PASSWORD, Desk

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

EXAMPLES = 4
"""Requests of each route; ``schemathesis run`` against a server makes as many as one wants."""


@pytest.fixture(scope="module")
def open_desk(counted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    out = tmp_path_factory.mktemp("openapi") / "run"
    shutil.copytree(counted, out)
    desk = Desk(out)
    yield desk
    desk.log.close()


def test_every_answer_is_declared(open_desk: Desk) -> None:
    host = HERE.removeprefix("http://")
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", open_desk.app, headers={"host": host})
    headers = {"authorization": f"Bearer {PASSWORD}", "host": host}
    tried = []

    for result in schema.get_all_operations():
        operation = result.ok()
        tried.append(operation.label)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=HERE, headers=headers, checks=CHECKS)

        ask()
    assert len(tried) == len([m for path in open_desk.app.openapi()["paths"].values() for m in path])
