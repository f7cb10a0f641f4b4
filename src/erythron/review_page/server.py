"""The server process: where it listens, what it tells the user, how it ends."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from erythron.errors import UsageError
from erythron.pipeline.finished import find_run
from erythron.review.record import DATABASE
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import EventLog
from erythron.review.store.jobs import JobLog
from erythron.review_page.app import PageSettings, create_app
from erythron.review_page.guard import Rules
from erythron.review_page.intake import MAX_UPLOAD_BYTES
from erythron.review_page.run import ReviewedRun
from erythron.review_page.sessions import LIFETIME_S, Sessions


@dataclass(frozen=True)
class ServerOptions:
    """How a review is served.

    Attributes:
        reader: who sits at this machine.
        host: address to listen at.
        port: 0 for any that is free.
        password: for readers on other machines and for programs; None where there are none.
        database: URL of the database; None for a file in the folder of the run.
        names: further names of this machine that browsers may ask for.
        is_blind: whether each reader calls the cells without seeing the calls of others, until done.
        most_upload_bytes: of a picture that is sent.
    """

    reader: str
    host: str = "127.0.0.1"
    port: int = 0
    password: str | None = None
    database: str | None = None
    names: tuple[str, ...] = ()
    is_blind: bool = False
    most_upload_bytes: int = MAX_UPLOAD_BYTES


def serve_review(out: Path, options: ServerOptions, announce: Callable[[str], None]) -> None:
    """Serve the review of a run until the process is interrupted.

    Args:
        out: folder of a finished count.
        options: how it is served.
        announce: called with the one-time link, once the server listens.

    Raises:
        UsageError: the folder holds no finished count, another machine could come in without a password, or
            the address cannot be listened at.
    """
    is_local = is_loopback(options.host)
    if not is_local and not options.password:
        raise UsageError(
            f"--host {options.host} lets other machines in, so it needs a password: put one in a file and "
            "name it with --password-file"
        )
    find_run(out)  # before a database is made beside what is no run
    log = EventLog(open_database(options.database or name_file(out / DATABASE)), out)
    run = ReviewedRun(out, [job.sent.image for job in JobLog(log).list_done()])
    listening = _listen(options.host, options.port)
    port = int(listening.getsockname()[1])
    sessions = Sessions(options.password)
    rules = Rules(names=options.names, is_local=is_local)
    settings = PageSettings(
        port=port,
        rules=rules,
        is_blind=options.is_blind,
        most_upload_bytes=options.most_upload_bytes,
    )
    app = create_app(run, log, sessions, settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=65_536,
    )
    server = _Server(config, lambda: announce(_make_link(options, port, sessions)))
    with suppress(KeyboardInterrupt):  # Ctrl-C is how one ends it
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def _make_link(options: ServerOptions, port: int, sessions: Sessions) -> str:
    host = "127.0.0.1" if options.host in {"0.0.0.0", "::"} else options.host  # noqa: S104 - compared only
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/enter?token={sessions.make_link(options.reader, LIFETIME_S)}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened at ({error.strerror or error}); choose another --port"
        ) from error
