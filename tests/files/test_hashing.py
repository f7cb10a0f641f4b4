"""Hashes agree with the standard's own example and with one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.files.hashing import hash_bytes, hash_file, hash_text

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of "abc", FIPS 180-2, appendix B.1."""


def test_the_standards_example_comes_out_of_all_three(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert hash_file(tmp_path / "abc") == hash_bytes(b"abc") == hash_text("abc") == ABC


def test_another_checksum_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # RFC 1321, appendix A.5.
    assert hash_file(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_text_is_hashed_as_utf_8() -> None:
    assert hash_text("µm") == hash_bytes(b"\xc2\xb5m")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hash_file(tmp_path / "nowhere")


def test_a_published_checksum_of_another_kind_is_compared(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # RFC 1321, appendix A.5.
    assert hash_file(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"
