"""Who asks: the session of a browser, or a program with the password; what every route begins with."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from erythron.review_page.sessions import Sessions, TooManyFailuresError, clean_name

PROGRAM = "program"
"""Reader of the changes of a program that names none."""

_SAFE = {"GET", "HEAD"}


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        reader: the person's name, or that of a program.
        csrf: of the session; empty for a program.
        source: what changes of this visitor came through.
    """

    reader: str
    csrf: str
    source: str


def name_cookie(port: int) -> str:
    """Return the name of the session's cookie: cookies of one machine are shared by all its ports."""
    return f"erythron_{port}"


def find_visitor(request: Request) -> Visitor:
    """Return who asks.

    Raises:
        HTTPException: 401 for nobody, 403 for a change without the token of the session's page, 429 where too
            many passwords were wrong.
    """
    sessions: Sessions = request.app.state.sessions
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _find_program(request, sessions, secret)
    session = sessions.find(request.cookies.get(request.app.state.cookie))
    if session is None:
        raise HTTPException(401, "open the page by the link that the server printed, or log in")
    if request.method not in _SAFE and not hmac.compare_digest(
        request.headers.get("x-csrf-token", "").encode(), session.csrf.encode()
    ):
        raise HTTPException(403, "the token of the page is missing or wrong; load the page again")
    return Visitor(session.reader, session.csrf, "review page")


def _find_program(request: Request, sessions: Sessions, secret: str) -> Visitor:
    try:
        if not sessions.is_password(secret):
            raise HTTPException(401, "the password is wrong")
        reader = clean_name(request.headers.get("erythron-reader", PROGRAM))
    except TooManyFailuresError as error:
        raise HTTPException(429, "too many wrong passwords; wait a minute") from error
    except ValueError as error:
        raise HTTPException(401, str(error)) from error
    return Visitor(reader, "", "HTTP interface")


Who = Annotated[Visitor, Depends(find_visitor)]
