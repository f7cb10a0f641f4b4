"""Downloads that go on where they broke off, are checked, and are unpacked whole or not at all."""

from __future__ import annotations

import json
import shutil
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from erythron.datasets.bloodmnist import unpack_bloodmnist
from erythron.datasets.registry import RegisteredSet, cache_folder, locate_set, shared_folder
from erythron.errors import DataError
from erythron.files.hashing import hash_file
from erythron.files.writing import open_at, whole_folder, write_file

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes expected, None where the server does not say."""

_TRIES = 5
_PAUSE_S = 0.5
_TIMEOUT_S = (10, 60)
_BLOCK = 1 << 18
_MAX_NESTING = 2
_FINAL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
"""Answers that another try will not change."""


@dataclass(frozen=True)
class Download:
    """What is to be downloaded for a set.

    Attributes:
        name: of the set.
        url: where it is.
        total: its bytes, as published or as the server states them; None where neither says it.
        have: bytes of it that an earlier try left.
    """

    name: str
    url: str
    total: int | None
    have: int


def plan_download(registered: RegisteredSet) -> Download | None:
    """Return what fetching a set would download; None where it is here, as a folder or as its archive.

    The server is asked for the size where nothing publishes it; none of the content comes.

    Raises:
        DataError: the set has to be fetched by hand.
    """
    if locate_set(registered.name) is not None or _find_shared_archive(registered) is not None:
        return None
    archive = _name_download(registered)
    if archive.is_file():
        return None
    url = str(registered.url)
    part, note = _name_part(archive)
    have = part.stat().st_size if part.exists() and _read_note(note).get("url") == url else 0
    return Download(registered.name, url, registered.download_bytes or ask_size(url), have)


def ask_size(url: str) -> int | None:
    """Return the size that a server states of a file, in bytes; None where it does not."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    try:
        with requests.head(url, headers=headers, timeout=_TIMEOUT_S, allow_redirects=True) as response:
            length = response.headers.get("Content-Length", "")
            return int(length) or None if response.ok and length.isdigit() else None
    except requests.RequestException:
        # The download itself says what is wrong.
        return None


def fetch_set(registered: RegisteredSet, progress: Progress | None = None) -> Path:
    """Return the folder of a set; download and unpack it where it is not there yet.

    A folder of that name in ``ERYTHRON_DATA_DIR`` is used as it is, or, where it holds only the archive, the
    archive is unpacked into the cache.

    Raises:
        DataError: the set has to be fetched by hand; the download fails or is not what it should be; the
            archive is broken or would write outside its folder.
    """
    folder = locate_set(registered.name)
    if folder is not None:
        return folder
    target = cache_folder() / registered.name
    archive = _find_shared_archive(registered)
    if archive is not None:
        check_file(archive, registered.checksum)
    else:
        archive = _name_download(registered)
        if not archive.is_file():
            download(str(registered.url), archive, registered.checksum, progress)
    _unpack_whole(archive, target, registered)
    return target


def _find_shared_archive(registered: RegisteredSet) -> Path | None:
    """Return the archive of a set in ``ERYTHRON_DATA_DIR``, None where there is none."""
    shared = shared_folder(registered.name)
    if shared is None or registered.file is None or not (shared / registered.file).is_file():
        return None
    return shared / registered.file


def _name_download(registered: RegisteredSet) -> Path:
    """Return where the archive of a set is downloaded to.

    Raises:
        DataError: its source offers no plain download.
    """
    if registered.url is None or registered.file is None:
        raise DataError(
            f"{registered.name}: its source offers no plain download; fetch it by hand from "
            f"{registered.page} and put it into the folder {registered.name} of ERYTHRON_DATA_DIR"
        )
    return cache_folder() / "downloads" / registered.file


def _name_part(target: Path) -> tuple[Path, Path]:
    """Return what an unfinished download is called, and the note that says of what it is."""
    return target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")


def download(url: str, target: Path, checksum: str | None, progress: Progress | None = None) -> None:
    """Download a file; what an earlier try left in ``.NAME.part`` is continued where the server allows it.

    Args:
        url: http or https.
        target: where it appears when it is whole and checked.
        checksum: ``algorithm:hex``, or None.
        progress: called before the first block and after every block.

    Raises:
        DataError: refused, broken off in every try, of wrong length or checksum, or larger than the disk.
    """
    part, note = _name_part(target)
    reason = ""
    tries = most = 0
    while tries < _TRIES:
        reason = _try_download(url, part, note, progress)
        if not reason:
            check_file(part, checksum, remove=True, name=url)
            part.replace(target)
            note.unlink(missing_ok=True)
            return
        came = part.stat().st_size if part.exists() else 0
        # A try that brought more than any before costs nothing: a server may break off every few megabytes.
        tries = 1 if came > most else tries + 1
        most = max(most, came)
        time.sleep(_PAUSE_S)
    raise DataError(f"{url}: {reason}; what came is kept, so give the same command again later to go on")


def check_file(path: Path, checksum: str | None, *, remove: bool = False, name: str | None = None) -> None:
    """Compare a file with its published checksum; nothing happens where none is published.

    Args:
        path: the file.
        checksum: ``algorithm:hex``.
        remove: remove a file that is wrong, so that the next download starts afresh.
        name: what the message calls it; its path by default.

    Raises:
        DataError: it differs.
    """
    if checksum is None:
        return
    algorithm, _, expected = checksum.partition(":")
    actual = hash_file(path, algorithm)
    if actual != expected:
        if remove:
            path.unlink()
        raise DataError(
            f"{name or path}: wrong checksum: {algorithm} is {actual} and must be {expected}; the file was "
            "changed at its source or on its way; do not use it: fetch it again, or compare with the source"
        )


def unpack_archive(archive: Path) -> Path:
    """Return the folder in the cache that a zip file of one's own is unpacked in; made where it is not there.

    The folder's name holds the archive's hash, so another content is another folder.

    Raises:
        DataError: as :func:`unpack_zip`.
    """
    target = cache_folder() / "archives" / hash_file(archive)[:16] / name_archive(archive)
    if not target.is_dir():
        with whole_folder(target, synced=False) as partial:
            unpack_zip(archive, partial)
    return target


def name_archive(archive: Path) -> str:
    """Return the name of a zip file's set: the file's, or its folder's where the file's says nothing."""
    return archive.absolute().parent.name if archive.stem in {"data", "archive", "images"} else archive.stem


def unpack_zip(archive: Path, folder: Path, keep: str | None = None) -> None:
    """Unpack a zip file, archives inside it too, into a folder.

    Names that are not marked as UTF-8 are read as UTF-8 or GB 18030 where they are valid in it, as
    archives made in China hold them, else as the zip format says.

    Args:
        archive: the zip file.
        folder: filled; what the members are called is below it.
        keep: only members of this folder, counted from below the archive's single top folder, if any.

    Raises:
        DataError: broken, larger than the disk, or a member would lie outside the folder or is a link.
    """
    _unpack_one(archive, folder, keep)
    for _ in range(_MAX_NESTING):
        for inner in sorted(folder.rglob("*.zip")):
            _unpack_one(inner, inner.parent, None)
            inner.unlink()


def _try_download(url: str, part: Path, note: Path, progress: Progress | None) -> str:
    """Download or continue once; return why it is not whole, empty where it is."""
    import requests
    from urllib3.exceptions import HTTPError

    have = part.stat().st_size if part.exists() else 0
    known = _read_note(note)
    if known.get("url") != url:
        have = 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("validator"):
            headers["If-Range"] = known["validator"]
    total: int | None = None
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                return f"the server states more than {have} bytes and has no more, or less than came before"
            if response.status_code in _FINAL:
                raise DataError(
                    f"{url}: the server answers {response.status_code} {response.reason}; the source may "
                    "have moved, so fetch it by hand and put it into ERYTHRON_DATA_DIR"
                )
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                return f"the server answers {response.status_code} {response.reason}"
            start, total = _read_lengths(response.headers, response.status_code, have)
            if start not in (0, have):
                return f"the server continues at byte {start} and not at {have}"
            validator = response.headers.get("ETag", "")
            if validator.startswith("W/"):
                validator = ""
            write_file(note, json.dumps({"url": url, "validator": validator}))
            _check_room(url, part.parent, None if total is None else total - start)
            if progress is not None:
                progress(start, total)
            with open_at(part, start) as file:
                # Unlike iter_content, this gives what came before a break in the middle of a block.
                while block := response.raw.read1(_BLOCK):
                    file.write(block)
                    if progress is not None:
                        progress(file.tell(), total)
                size = file.tell()
    except (requests.RequestException, HTTPError, OSError) as error:
        came = part.stat().st_size if part.exists() else 0
        stated = "" if total is None else f" of the {total} that the server states"
        return f"the download broke off after {came} bytes{stated} ({error})"
    if total is not None and size != total:
        if size > total:
            part.unlink()
        return f"wrong length: {size} bytes came and the server states {total}"
    return ""


def _check_room(url: str, folder: Path, needed: int | None) -> None:
    free = shutil.disk_usage(folder).free
    if needed is not None and needed > free:
        raise DataError(
            f"{url}: {needed} bytes are to come and the disk of {folder} has room for {free}; make room, or "
            "set ERYTHRON_CACHE_DIR to a folder of another disk"
        )


def _read_lengths(headers: Mapping[str, str], status: int, have: int) -> tuple[int, int | None]:
    """Return the byte at which the answer starts and the whole file's length."""
    if status == HTTPStatus.PARTIAL_CONTENT:
        # "bytes START-END/TOTAL"; TOTAL may be an asterisk.
        span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = span.partition("-")[0]
        return int(start) if start.isdigit() else have, int(total) if total.isdigit() else None
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _read_note(note: Path) -> dict[str, str]:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _unpack_whole(archive: Path, target: Path, registered: RegisteredSet) -> None:
    """Unpack beside the target, then rename in one step."""
    # The archive stays, and a set of 20,000 images would take minutes to force to the disk.
    with whole_folder(target, synced=False) as partial:
        if archive.suffix == ".npz":
            unpack_bloodmnist(archive, partial)
        else:
            unpack_zip(archive, partial, registered.keep)
        origin = {
            "url": str(registered.url),
            "archive_sha256": hash_file(archive),
            "licence": registered.licence,
        }
        write_file(partial / "source.json", json.dumps(origin, indent=2) + "\n")


def _unpack_one(archive: Path, folder: Path, keep: str | None) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            named = [(m, _read_name(m)) for m in opened.infolist()]
            members = [(m, name) for m, name in named if not name.endswith("/")]
            for member, name in members:
                _refuse_escape(archive, member, name)
            needed = sum(m.file_size for m, _ in members)
            if needed > shutil.disk_usage(folder).free:
                raise DataError(
                    f"{archive}: needs {needed} bytes on the disk of {folder}; make room and try again"
                )
            top = _find_top([name for _, name in members]) if keep else ""
            for member, name in members:
                if keep and not name.startswith(f"{top}{keep}/"):
                    continue
                with opened.open(member) as source, open_at(folder / name) as file:
                    shutil.copyfileobj(source, file)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        UnicodeError,
        EOFError,
        RuntimeError,
        OSError,
    ) as error:
        raise DataError(
            f"{archive}: the archive cannot be unpacked ({error}); remove it and fetch it again"
        ) from error


def _refuse_escape(archive: Path, member: zipfile.ZipInfo, name: str) -> None:
    path = PurePosixPath(name)
    if not path.parts:
        raise DataError(f"{archive}: a member of it has no name; the archive is damaged, fetch it again")
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or is_link:
        raise DataError(
            f"{archive}: its member '{name}' would lie outside the folder or is a link; nothing was "
            "unpacked, do not trust this archive"
        )


def _read_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name with forward slashes, decoded as its bytes suggest."""
    name = member.filename
    if not member.flag_bits & 0x800:
        raw = name.encode("cp437", errors="replace")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _find_top(names: list[str]) -> str:
    tops = {name.split("/", 1)[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 else ""
