"""Attacks from other sites, other names and with too much; each is refused and changes nothing."""

from __future__ import annotations

import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from erythron.review_page.guard import CSP, MAX_BODY_BYTES, Rules, is_own_name
from tests.review_page.conftest import PASSWORD, Desk, Visit

OTHER_SITE = "https://evil.example"


@pytest.mark.parametrize(
    ("host", "is_local", "is_own"),
    [
        ("127.0.0.1:8000", True, True),
        ("localhost:8000", True, True),
        ("[::1]:8000", True, True),
        ("evil.example", True, False),
        ("127.0.0.1.evil.example", True, False),
        ("10.0.0.7:8000", True, False),
        ("10.0.0.7:8000", False, True),
        ("bench-3.lab", False, True),
        ("other.lab", False, False),
        ("", False, False),
        ("[", True, False),
    ],
)
def test_a_server_answers_to_its_own_names_alone(host: str, is_local: bool, is_own: bool) -> None:
    assert is_own_name(host, Rules(names=("bench-3.lab",), is_local=is_local)) == is_own


def test_a_name_that_another_site_points_here_gets_nothing(visit: Visit) -> None:
    answer = visit.client.get("/api/run", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert "csrf" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OTHER_SITE},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"x-csrf-token": ""},
        {"x-csrf-token": "wrong"},
        {"x-csrf-token": "wröng".encode("latin-1").decode("latin-1")},
    ],
)
def test_a_change_that_another_site_sends_is_refused(visit: Visit, headers: dict[str, str]) -> None:
    [cell] = visit.names(1)
    body = {"action": "a", "calls": [{"field": 0, "cell_id": cell, "seen": 0, "called": "monocyte"}]}
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = visit.client.post("/api/specimens/0/calls", json=body, headers=encoded)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert visit.cells()["standing"] == []


def test_a_session_that_this_server_did_not_make_is_none(desk: Desk) -> None:
    """A session cannot be fixed beforehand: logging in makes another key than the one that was sent."""
    client = desk.stranger()
    cookie = desk.app.state.cookie
    client.cookies.set(cookie, "chosen by an attacker")
    assert client.get("/api/run").status_code == 401
    answer = client.post("/api/session", json={"password": PASSWORD, "reader": "A"})
    assert answer.cookies[cookie] != "chosen by an attacker"
    attacker = desk.stranger()
    attacker.cookies.set(cookie, "chosen by an attacker")
    assert attacker.get("/api/run").status_code == 401


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_nothing_is_told_or_done_without_a_session(desk: Desk, method: str) -> None:
    client = desk.stranger()
    for path in desk.app.openapi()["paths"]:
        if path != "/api/session":
            place = path.replace("{number}", "0").replace("{name}", "report").replace("{job}", "0")
            answer = client.request(method, place)
            assert answer.status_code in {401, 405}, path


def test_a_program_comes_in_with_the_password_alone(desk: Desk) -> None:
    client = desk.stranger()
    assert client.get("/api/run", headers={"authorization": "Bearer wrong"}).status_code == 401
    named = {"authorization": f"Bearer {PASSWORD}", "erythron-reader": "LIS 7"}
    assert client.get("/api/run", headers=named).json()["reader"] == "LIS 7"
    for _ in range(10):
        client.get("/api/run", headers={"authorization": "Bearer wrong"})
    assert client.get("/api/run", headers=named).status_code == 429


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py",
        "/assets/..%2fapp.py",
        "/assets/%2e%2e/%2e%2e/pyproject.toml",
        "/assets//etc/passwd",
        "/assets/..\\app.py",
        "/../../etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_files_of_the_page(visit: Visit, path: str) -> None:
    answer = visit.client.get(f"{path}")
    assert answer.status_code == 404
    assert b"import" not in answer.content
    assert b"root:" not in answer.content


def test_a_body_that_is_too_large_is_not_read(visit: Visit) -> None:
    answer = visit.client.post("/api/specimens/0/calls", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413

    def stream() -> object:
        for _ in range(MAX_BODY_BYTES // 1_000_000 + 2):
            yield b"x" * 1_000_000

    answer = visit.client.post("/api/specimens/0/calls", content=stream())  # type: ignore[arg-type]
    assert answer.status_code == 413  # though it does not say its length beforehand


def test_every_answer_lets_no_other_host_in(visit: Visit) -> None:
    for path in ("/", "/login", "/assets/main.js", "/api/run", "/nowhere"):
        headers = visit.client.get(path).headers
        assert headers["content-security-policy"] == CSP
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert "unsafe" not in CSP
    assert "//" not in CSP


def test_a_websocket_of_any_origin_is_refused(visit: Visit) -> None:
    for origin in (OTHER_SITE, "http://127.0.0.1:18500"):
        with (
            pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
            visit.client.websocket_connect("/", headers={"origin": origin}),
        ):
            pass
