"""Text goes out on every console."""

from __future__ import annotations

import io

import pytest

from erythron.cli.terminal import make_writable

TEXT = "12.5 (3.1–20.0) % │ ╭─╮ ≥ 300 µm, é, 原红, b\udcff.png"


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp932", "ascii", "cp1252", "utf-8", "gbk"])
def test_every_encoding_takes_every_text(encoding: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    make_writable(stream)
    stream.write(TEXT)
    stream.flush()
    assert "12.5 (3.1" in buffer.getvalue().decode(encoding)


def test_what_is_missing_is_spelled() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    make_writable(stream)
    stream.write(TEXT)
    stream.flush()
    said = buffer.getvalue().decode()
    assert said == "12.5 (3.1-20.0) % | +-+ >= 300 um, e, \\u539f\\u7ea2, b\\udcff.png"
