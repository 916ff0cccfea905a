"""Files are whole or not there."""

import os
from pathlib import Path

import pytest

from src.files import write_atomically, write_secret


def test_text_and_bytes_arrive_and_nothing_else_is_left(tmp_path):
    write_atomically(tmp_path / "new" / "a.txt", "ä")
    write_atomically(tmp_path / "new" / "b.bin", b"\x00")
    assert (tmp_path / "new" / "a.txt").read_text() == "ä"
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.txt", "b.bin"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def full_disk(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_content_and_then_the_name_are_on_disk_before_it_returns(tmp_path, monkeypatch):
    path, flushed, real = tmp_path / "a.txt", [], os.fsync

    def watch(number):
        flushed.append((str(Path(f"/proc/self/fd/{number}").readlink()), path.exists()))
        real(number)

    monkeypatch.setattr(os, "fsync", watch)
    write_atomically(path, "new")
    (content, before), (folder, after) = flushed
    assert content.startswith(f"{tmp_path}/.a.txt")
    assert (folder, before, after) == (str(tmp_path), False, True)


def test_a_secret_is_its_owners_alone_and_never_overwritten(tmp_path):
    path = tmp_path / "keys" / "key"
    write_secret(path, b"secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        write_secret(path, b"other")
    assert path.read_bytes() == b"secret"
