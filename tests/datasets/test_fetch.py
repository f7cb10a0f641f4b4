from __future__ import annotations

import hashlib
import json
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from erythron.datasets import fetch
from erythron.datasets.fetch import Download, ask_size, download, fetch_set, plan_download, unpack_zip
from erythron.datasets.registry import RegisteredSet, locate_set
from erythron.datasets.sets import read_set
from erythron.errors import DataError

from .conftest import save_flat

CONTENT = bytes(range(256)) * 4000


@dataclass
class Behaviour:
    """What the server does wrong, and what it was asked."""

    content: bytes = CONTENT
    break_after: int | None = None
    states_length: int | None = None
    knows_range: bool = True
    knows_length: bool = True
    status: int = 200
    etag: str = '"one"'
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Behaviour]]:
    behaviour = Behaviour()
    monkeypatch.setattr(fetch, "_PAUSE_S", 0.0)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            behaviour.ranges.append("HEAD")
            self.send_response(behaviour.status)
            if behaviour.knows_length:
                self.send_header("Content-Length", str(len(behaviour.content)))
            self.end_headers()

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behaviour.ranges.append(asked)
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            start = 0
            if (
                asked
                and behaviour.knows_range
                and self.headers.get("If-Range", behaviour.etag) == behaviour.etag
            ):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(behaviour.content):
                    self.send_error(416)
                    return
            total = behaviour.states_length or len(behaviour.content)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Length", str(total - start))
            self.send_header("ETag", behaviour.etag)
            self.end_headers()
            body = behaviour.content[start:]
            self.wfile.write(body if behaviour.break_after is None else body[: behaviour.break_after])

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/set.zip", behaviour
    httpd.shutdown()
    httpd.server_close()


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_whole_file_comes_with_progress(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    seen: list[tuple[int, int | None]] = []
    download(server[0], tmp_path / "f", sha256(CONTENT), lambda done, total: seen.append((done, total)))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT)), "the size is told before the first byte"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    url, behaviour = server
    behaviour.break_after = 150_000
    download(url, tmp_path / "f", sha256(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    starts = [int(str(r).removeprefix("bytes=").rstrip("-")) for r in behaviour.ranges[1:]]
    assert len(starts) >= 6
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_a_later_command_goes_on_where_an_earlier_one_gave_up(
    tmp_path: Path, server: tuple[str, Behaviour], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, behaviour = server
    behaviour.break_after = 400_000
    with monkeypatch.context() as context:
        context.setattr(fetch, "_TRIES", 1)
        with pytest.raises(
            DataError, match=r"broke off after \d+ bytes of the 1024000 .*give the same command again"
        ):
            download(url, tmp_path / "f", sha256(CONTENT))
    assert not (tmp_path / "f").exists()
    behaviour.break_after = None
    download(url, tmp_path / "f", sha256(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert behaviour.ranges[-1] is not None


def test_a_server_that_knows_no_ranges_starts_afresh(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    url, behaviour = server
    behaviour.knows_range = False
    (tmp_path / ".f.part").write_bytes(b"x" * 1000)
    (tmp_path / ".f.part.json").write_text(json.dumps({"url": url, "validator": ""}))
    download(url, tmp_path / "f", sha256(CONTENT))
    assert behaviour.ranges == ["bytes=1000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_file_that_changed_at_its_source_is_not_glued_to_the_old_part(
    tmp_path: Path, server: tuple[str, Behaviour]
) -> None:
    url = server[0]
    (tmp_path / ".f.part").write_bytes(b"x" * 1000)
    (tmp_path / ".f.part.json").write_text(json.dumps({"url": url, "validator": '"zero"'}))
    download(url, tmp_path / "f", None)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_used(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    (tmp_path / ".f.part").write_bytes(b"x" * 1000)
    (tmp_path / ".f.part.json").write_text(json.dumps({"url": "http://other", "validator": ""}))
    download(server[0], tmp_path / "f", sha256(CONTENT))
    assert server[1].ranges == [None]


def test_a_server_that_states_too_great_a_length_is_named(
    tmp_path: Path, server: tuple[str, Behaviour]
) -> None:
    url, behaviour = server
    behaviour.states_length = len(CONTENT) + 500
    with pytest.raises(DataError, match=r"1024000 bytes( of the 1024500|.* has no more)"):
        download(url, tmp_path / "f", None)
    assert not (tmp_path / "f").exists()


def test_a_server_that_states_too_small_a_length_fails_the_checksum(
    tmp_path: Path, server: tuple[str, Behaviour]
) -> None:
    url, behaviour = server
    behaviour.states_length = 1000
    with pytest.raises(DataError, match="wrong checksum"):
        download(url, tmp_path / "f", sha256(CONTENT))
    assert list(tmp_path.glob("*f")) == []


def test_a_wrong_checksum_is_named_and_nothing_is_kept(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    with pytest.raises(DataError, match=r"set\.zip: wrong checksum: md5 is [0-9a-f]{32} and must be 0{32}"):
        download(server[0], tmp_path / "f", "md5:" + "0" * 32)
    assert not (tmp_path / "f").exists()
    assert not (tmp_path / ".f.part").exists()


def test_a_missing_file_is_not_asked_for_again(tmp_path: Path, server: tuple[str, Behaviour]) -> None:
    url, behaviour = server
    behaviour.status = 404
    with pytest.raises(DataError, match="answers 404"):
        download(url, tmp_path / "f", None)
    assert len(behaviour.ranges) == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_PAUSE_S", 0.0)
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/x"):
        download("http://127.0.0.1:9/x", tmp_path / "f", None)


def make_zip(names: dict[str, bytes], *, link: str | None = None) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, content in names.items():
            info = zipfile.ZipInfo(name)
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            out.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/evil.png", "C:/evil.png", "a\\..\\..\\evil.png"]
)
def test_an_archive_that_would_write_outside_is_refused_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(make_zip({"good.png": b"x", name: b"x"}))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"evil\.png.*would lie outside"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(make_zip({"l": b"/etc/passwd"}, link="l"))
    with pytest.raises(DataError, match="is a link"):
        unpack_zip(tmp_path / "a.zip", tmp_path)


def test_only_the_kept_folder_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(make_zip({"repo-1/public/cells/a.png": b"1", "repo-1/code.py": b"2"}))
    (tmp_path / "out").mkdir()
    unpack_zip(tmp_path / "a.zip", tmp_path / "out", keep="public/cells")
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["a.png"]


def make_registered(url: str | None, file: str = "set.zip", checksum: str | None = None) -> RegisteredSet:
    return RegisteredSet(
        name="made-up",
        about="for tests",
        page="http://example.org",
        url=url,
        file=file,
        checksum=checksum,
        licence="none",
        trains_shipped_weights=False,
        citation="none",
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ERYTHRON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ERYTHRON_DATA_DIR", raising=False)
    return tmp_path / "cache" / "data"


def test_a_set_is_fetched_unpacked_and_read(
    tmp_path: Path, server: tuple[str, Behaviour], cache: Path
) -> None:
    url, behaviour = server
    image = save_flat(tmp_path / "a.png", 3).read_bytes()
    behaviour.content = make_zip({"set/原红/a.png": image})
    folder = fetch_set(make_registered(url, checksum=sha256(behaviour.content)))
    assert folder == cache / "made-up" == locate_set("made-up")
    assert read_set("made-up", folder).rows["label"].to_list() == ["proerythroblast"]
    origin = json.loads((folder / "source.json").read_text())
    assert "sha256:" + origin["archive_sha256"] == sha256(behaviour.content)
    fetch_set(make_registered(url))
    assert len(behaviour.ranges) == 1


def test_the_size_is_known_before_the_first_byte_and_what_came_before_is_counted(
    server: tuple[str, Behaviour], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the length is asked for; a set that is broken off goes on, and its plan says where."""
    url, behaviour = server
    registered = make_registered(url)
    assert plan_download(registered) == Download("made-up", url, len(CONTENT), 0)
    assert behaviour.ranges == ["HEAD"]
    published = registered.model_copy(update={"download_bytes": 77})
    assert plan_download(published) == Download("made-up", url, 77, 0)
    behaviour.break_after = 400_000
    with monkeypatch.context() as context:
        context.setattr(fetch, "_TRIES", 1)
        with pytest.raises(DataError, match="give the same command again"):
            fetch_set(registered)
    plan = plan_download(registered)
    assert plan is not None
    assert (plan.total, plan.have) == (len(CONTENT), 400_000)
    behaviour.break_after, behaviour.content = None, make_zip({"band/a.png": b"x"}) + bytes(500_000)
    behaviour.knows_length, behaviour.etag = False, '"two"'
    plan = plan_download(registered)
    assert plan is not None
    assert plan.total is None
    behaviour.content = make_zip({"band/a.png": b"x"})
    fetch_set(registered)
    assert plan_download(registered) is None
    behaviour.status = 404
    assert ask_size(url) is None


def test_a_download_that_the_disk_cannot_hold_is_refused_before_its_first_byte(
    tmp_path: Path, server: tuple[str, Behaviour], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"1024000 bytes are to come .* has room for 1000"):
        download(server[0], tmp_path / "f", None)
    assert not list(tmp_path.glob(".f.part"))


def test_a_broken_archive_leaves_no_half_set(server: tuple[str, Behaviour], cache: Path) -> None:
    url, behaviour = server
    whole = make_zip({f"set/原红/{i}.png": bytes(1000) for i in range(9)})
    behaviour.content = whole[: len(whole) // 2]
    with pytest.raises(DataError, match=r"set\.zip: the archive cannot be unpacked"):
        fetch_set(make_registered(url))
    assert locate_set("made-up") is None
    assert [p.name for p in cache.iterdir()] == ["downloads"]


def test_a_shared_folder_is_used_as_it_is(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(tmp_path / "shared"))
    save_flat(tmp_path / "shared" / "made-up" / "band" / "a.png", 1)
    assert fetch_set(make_registered("http://127.0.0.1:9/x")) == tmp_path / "shared" / "made-up"


def test_an_archive_in_the_shared_folder_is_unpacked_into_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERYTHRON_DATA_DIR", str(tmp_path / "shared"))
    archive = tmp_path / "shared" / "made-up" / "set.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(make_zip({"band/a.png": b"x"}))
    with pytest.raises(DataError, match="wrong checksum"):
        fetch_set(make_registered("http://127.0.0.1:9/x", checksum="md5:" + "0" * 32))
    assert archive.exists()
    assert fetch_set(make_registered("http://127.0.0.1:9/x")) == cache / "made-up"


def test_a_set_without_a_download_says_where_to_get_it(cache: Path) -> None:
    with pytest.raises(DataError, match=r"fetch it by hand from http://example\.org"):
        fetch_set(make_registered(None))


def test_bloodmnist_is_unpacked_with_its_own_split(
    tmp_path: Path, server: tuple[str, Behaviour], cache: Path
) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 10), ("val", 4), ("test", 6)):
        arrays[f"{part}_images"] = rng.integers(0, 255, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 8
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    server[1].content = buffer.getvalue()
    folder = fetch_set(make_registered(server[0], "set.npz"))
    rows = read_set("bloodmnist", folder).rows
    assert rows["split"].value_counts().sort("split").rows() == [
        ("test", 6),
        ("train", 10),
        ("validation", 4),
    ]
    assert rows["label"].n_unique() == 8
    assert rows["split_hash"].n_unique() == 1


def test_what_is_no_bloodmnist_file_is_refused(server: tuple[str, Behaviour], cache: Path) -> None:
    server[1].content = b"junk"
    with pytest.raises(DataError, match="is no BloodMNIST file"):
        fetch_set(make_registered(server[0], "set.npz"))
    assert locate_set("made-up") is None


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["bitflip.zip", "dot.zip", "empty.zip"])
def test_damaged_archives_are_refused_in_words(name: str, data_dir: Path, tmp_path: Path) -> None:
    archive = data_dir / "cases" / "files" / name
    with pytest.raises(DataError) as caught:
        unpack_zip(archive, tmp_path)
    assert str(archive) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
