"""Sessions are made by this server alone, end, and wrong passwords are not tried for ever."""

from __future__ import annotations

import pytest

from erythron.review_page import sessions
from erythron.review_page.sessions import Sessions, TooManyFailuresError, clean_name


def test_a_link_that_nobody_followed_ends() -> None:
    found = Sessions()
    assert found.follow_link(found.make_link("A", lifetime_s=-1)) is None
    key = found.follow_link(found.make_link("A"))
    session = found.find(key)
    assert session is not None
    assert session.reader == "A"


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LIFETIME_S", -1)
    found = Sessions("secret")
    assert found.find(found.log_in("secret", "A")) is None


def test_without_a_password_none_is_right() -> None:
    assert not Sessions().is_password("")


def test_after_many_wrong_passwords_none_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Sessions("secret")
    for _ in range(10):
        assert not found.is_password("guess")
    with pytest.raises(TooManyFailuresError):
        found.is_password("secret")
    monkeypatch.setattr(sessions, "_FAILURES_S", -1.0)
    assert found.is_password("secret")


def test_a_name_is_one_line_of_signs_that_can_be_seen() -> None:
    assert clean_name(" A.\x00\n\u202eReader ") == "A. Reader"
    assert len(clean_name("x" * 500)) == 80
    with pytest.raises(ValueError, match="needs a name"):
        clean_name("\n")
