"""How one comes in: once by a link, or by the password; and what nobody gets without either."""

from __future__ import annotations

from tests.review_page.conftest import PASSWORD, Desk


def test_a_link_opens_the_page_once(desk: Desk) -> None:
    client, token = desk.stranger(), desk.sessions.make_link("A. Reader")
    assert client.get("/").headers["location"] == "/login"
    answer = client.get("/enter", params={"token": token})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert b"/assets/main.js" in client.get("/").content
    other = desk.stranger()
    assert other.get("/enter", params={"token": token}).headers["location"] == "/login?used"
    assert "set-cookie" not in other.get("/enter", params={"token": "wrong"}).headers


def test_the_password_opens_a_session_until_it_is_ended(desk: Desk) -> None:
    client = desk.stranger()
    assert client.post("/api/session", json={"password": "wrong", "reader": "B"}).status_code == 401
    opened = client.post("/api/session", json={"password": PASSWORD, "reader": "  B.\n Reader "}).json()
    assert opened["reader"] == "B. Reader"
    client.headers["x-csrf-token"] = opened["csrf"]
    assert client.get("/api/run").status_code == 200
    assert client.delete("/api/session").status_code == 204
    assert client.get("/api/run").status_code == 401


def test_every_file_that_the_page_names_is_served(desk: Desk) -> None:
    client = desk.visit().client
    for name, asset in desk.app.state.assets.items():
        answer = client.get(f"/assets/{name}")
        assert answer.content == asset.content
        assert answer.headers["content-type"] == asset.kind
    for page in ("index.html", "login.html"):
        text = desk.app.state.assets[page].content.decode()
        assert "style=" not in text
        assert "http" not in text
