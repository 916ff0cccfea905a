"""What libraries ask of an account is answered, also where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import account
from src.differential_privacy import ledger
from src.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 12345  # of no account


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user without an account, who may write to one temporary folder; its environment."""
    monkeypatch.setattr(account.os, "getuid", lambda: NOBODY)
    monkeypatch.setattr(account.tempfile, "tempdir", str(tmp_path))
    return {}


def test_who_has_no_account_gets_a_name_and_a_home_that_keeps_nothing(nobody):
    account.complete(nobody)
    assert nobody["USER"] == nobody["LOGNAME"] == "uid12345"
    assert nobody["HOME"] == account.NOWHERE


def test_what_is_set_stays(nobody, tmp_path):
    given = {"LNAME": "kit", "HOME": str(tmp_path / "x"), "MPLCONFIGDIR": "/m"}
    nobody |= given
    account.complete(nobody)
    assert nobody.items() >= given.items()
    assert "USER" not in nobody


def test_caches_lie_in_the_home_where_that_can_be_written_to(nobody, tmp_path):
    nobody["HOME"] = str(tmp_path)
    account.complete(nobody)
    assert not set(account.CACHES) & set(nobody)


def test_caches_lie_in_a_folder_of_the_users_own_where_it_cannot(nobody, tmp_path):
    account.complete(nobody)
    (room,) = tmp_path.iterdir()
    assert room.stat().st_mode & 0o777 == 0o700
    assert {Path(nobody[name]).parent for name in account.CACHES} == {room}


@pytest.mark.parametrize("trap", ["open", "link"])
def test_a_folder_that_others_have_made_ready_is_not_taken(nobody, tmp_path, trap):
    made = tmp_path / f"glioma-federation-{os.geteuid()}"
    if trap == "open":
        made.mkdir()
        made.chmod(0o777)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        made.symlink_to(tmp_path / "elsewhere")
    account.complete(nobody)
    assert Path(nobody["XDG_CACHE_HOME"]).parent != made


def test_the_folder_one_stands_in_is_no_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(account.tempfile, "tempdir", str(tmp_path))
    assert account.temporary_folder() is None
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert account.temporary_folder() == tmp_path


def test_ledgers_are_not_kept_where_there_is_no_home(monkeypatch):
    for name in (ledger.VARIABLE, "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", account.NOWHERE)
    with pytest.raises(InputError, match=r"has no home.*Set GLIOMA_LEDGER"):
        ledger.folder()


NO_ACCOUNT = """
import os, pwd
def unknown(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
import src.engines.openfl
import getpass, pathlib
getpass.getuser(); pathlib.Path.home()
import monai.transforms
"""


def test_monai_is_imported_without_account_name_and_home():
    """Before, MONAI died of it, and with it every site, at its first batch."""
    run = [sys.executable, "-c", NO_ACCOUNT]
    bare = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(run, env=bare, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
