"""The page itself, and how one comes in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from erythron.review_page.access import find_visitor
from erythron.review_page.routes.shared import REFUSALS
from erythron.review_page.schemas import LogIn, SessionOut
from erythron.review_page.sessions import LIFETIME_S, Sessions, TooManyFailuresError
from erythron.review_page.static_files import Asset

router = APIRouter(responses=REFUSALS)

_ON = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>erythron review</title>'
    b'<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Open the review</a></p></html>'
)
"""Leads on to the page from a page of this server: a browser sends the cookie with no request that began
elsewhere, as in a message with the link."""


@router.get("/", include_in_schema=False)
def show_page(request: Request) -> Response:
    """Serve the page to who has a session, else send to where one logs in."""
    sessions: Sessions = request.app.state.sessions
    if sessions.find(request.cookies.get(request.app.state.cookie)) is None:
        return RedirectResponse("/login", 303)
    return _serve(request, "index.html")


@router.get("/login", include_in_schema=False)
def show_login(request: Request) -> Response:
    """Serve the page on which one logs in."""
    return _serve(request, "login.html")


@router.get("/enter", include_in_schema=False)
def enter(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Open a session by a one-time link."""
    key = request.app.state.sessions.follow_link(token)
    if key is None:
        return RedirectResponse("/login?used", 303)
    response = Response(_ON, media_type="text/html; charset=utf-8")
    _set_cookie(request, response, key)
    return response


@router.get("/favicon.ico", include_in_schema=False)
def show_icon(request: Request) -> Response:
    """Serve the icon under the name that browsers ask for by themselves."""
    return _serve(request, "icon.svg")


@router.get("/assets/{name}", include_in_schema=False)
def show_asset(request: Request, name: str) -> Response:
    """Serve a file of the page."""
    return _serve(request, name)


@router.post("/api/session", tags=["session"])
def log_in(request: Request, response: Response, body: LogIn) -> SessionOut:
    """Open a session with the password; its cookie comes with the answer."""
    sessions: Sessions = request.app.state.sessions
    try:
        key = sessions.log_in(body.password, body.reader)
    except TooManyFailuresError as error:
        raise HTTPException(429, "too many wrong passwords; wait a minute") from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    session = sessions.find(key)
    if key is None or session is None:
        raise HTTPException(401, "the password is wrong")
    _set_cookie(request, response, key)
    return SessionOut(reader=session.reader, csrf=session.csrf)


@router.delete("/api/session", tags=["session"], status_code=204, dependencies=[Depends(find_visitor)])
def log_out(request: Request, response: Response) -> None:
    """End the session."""
    request.app.state.sessions.end(request.cookies.get(request.app.state.cookie))
    response.delete_cookie(request.app.state.cookie)


def _serve(request: Request, name: str) -> Response:
    asset: Asset | None = request.app.state.assets.get(name)
    if asset is None:
        raise HTTPException(404, "there is no such file")
    return Response(asset.content, media_type=asset.kind, headers={"cache-control": "no-cache"})


def _set_cookie(request: Request, response: Response, key: str) -> None:
    response.set_cookie(
        request.app.state.cookie,
        key,
        max_age=LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
