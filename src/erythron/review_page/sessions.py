"""Who is at the page: one-time links, a password, and sessions that only this server can make."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field

LIFETIME_S = 12 * 3600
"""A session ends after a working day."""

_LINK_S = 600
"""A link that nobody has followed ends after so many seconds, but the first, which is on the terminal."""

_MOST_FAILURES, _FAILURES_S = 10, 60.0
"""Wrong passwords in so many seconds after which none is looked at."""

_LONGEST_NAME = 80


@dataclass
class PageSession:
    """One reader at one browser.

    Attributes:
        reader: the person's name.
        csrf: what a page of this session sends with every change.
        ends: when the session ends, on :func:`time.monotonic`.
    """

    reader: str
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    ends: float = field(default_factory=lambda: time.monotonic() + LIFETIME_S)


class TooManyFailuresError(Exception):
    """So many passwords were wrong that none is looked at for a while."""


class Sessions:
    """All sessions of a server.

    Args:
        password: that opens a session from another machine; None where there is none.
    """

    def __init__(self, password: str | None = None) -> None:
        self._password = password
        self._sessions: dict[str, PageSession] = {}
        self._links: dict[str, tuple[str, float]] = {}
        self._failures: deque[float] = deque()
        self._lock = threading.Lock()

    @property
    def has_password(self) -> bool:
        """Whether a password opens sessions."""
        return self._password is not None

    def make_link(self, reader: str, lifetime_s: float = _LINK_S) -> str:
        """Return a token that opens one session for a reader, once."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[token] = (clean_name(reader), time.monotonic() + lifetime_s)
        return token

    def follow_link(self, token: str) -> str | None:
        """Return the key of a new session for the token of a link, which is spent; None for a wrong one."""
        with self._lock:
            reader, ends = self._links.pop(token, ("", 0.0))
        return self._open(reader) if time.monotonic() < ends else None

    def log_in(self, password: str, reader: str) -> str | None:
        """Return the key of a new session for the password; None for a wrong one.

        Raises:
            TooManyFailuresError: too many were wrong lately.
        """
        return self._open(clean_name(reader)) if self.is_password(password) else None

    def is_password(self, password: str) -> bool:
        """Return whether a text is the password.

        Raises:
            TooManyFailuresError: too many were wrong lately.
        """
        now = time.monotonic()
        with self._lock:
            while self._failures and now - self._failures[0] > _FAILURES_S:
                self._failures.popleft()
            if len(self._failures) >= _MOST_FAILURES:
                raise TooManyFailuresError
            is_right = self._password is not None and hmac.compare_digest(
                password.encode(), self._password.encode()
            )
            if not is_right:
                self._failures.append(now)
            return is_right

    def find(self, key: str | None) -> PageSession | None:
        """Return the session of a key; None where this server has made none, or it has ended."""
        with self._lock:
            session = self._sessions.get(key or "")
            if session is not None and session.ends < time.monotonic():
                del self._sessions[key or ""]
                return None
            return session

    def end(self, key: str | None) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(key or "", None)

    def _open(self, reader: str) -> str:
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[key] = PageSession(reader)
        return key


def clean_name(name: str) -> str:
    """Return a person's name as it is kept: one line, at most 80 signs.

    Raises:
        ValueError: nothing is left.
    """
    cleaned = clean_line(name, _LONGEST_NAME)
    if not cleaned:
        raise ValueError("a reader needs a name")
    return cleaned


def clean_line(text: str, longest: int) -> str:
    """Return a text as one line without signs that are not seen, such as those that turn its direction.

    Args:
        text: as it came.
        longest: signs that are kept.
    """
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:longest]
