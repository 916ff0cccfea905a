"""Private mask keys: in memory alone, of this user alone, and each for one use."""

import os
import stat
from pathlib import Path

import pytest

from src.errors import Damaged, Refused
from src.secure_aggregation import mask_keys
from src.secure_aggregation.mask_keys import VARIABLE, MaskKeys, public_half

ON_DISK = Path(__file__).parent  # this repository lies on no filesystem in memory


@pytest.fixture
def keys(tmp_path) -> MaskKeys:
    return MaskKeys.of(tmp_path, "one", "run")


def of_user() -> Path:
    return mask_keys.memory_folder() / f"glioma-federation-{os.geteuid()}"


def test_a_folder_on_a_disk_is_refused_and_the_message_says_what_to_set(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(ON_DISK))
    with pytest.raises(Refused, match=rf"found {ON_DISK} \(\w+\)\. Set {VARIABLE} to one"):
        mask_keys.memory_folder()


def test_a_named_folder_that_is_missing_is_refused_and_no_other_taken(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(Refused, match="no folder"):
        mask_keys.memory_folder()


def test_the_users_own_runtime_folder_comes_before_the_common_one(monkeypatch):
    memory = mask_keys.memory_folder()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(memory))
    assert mask_keys.memory_folder() == memory
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(ON_DISK))  # as some containers set it
    assert mask_keys.memory_folder() == mask_keys.DEFAULT


def test_the_kernel_is_asked_what_a_folder_is():
    assert mask_keys.filesystem(mask_keys.DEFAULT) == "tmpfs"
    assert mask_keys.filesystem(Path("/proc")) == "proc"
    assert mask_keys.filesystem(ON_DISK) not in mask_keys.IN_MEMORY


def test_keys_can_be_read_by_their_owner_alone(keys):
    keys.new()
    (path,) = keys.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (keys.folder, of_user()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["open", "a link"])
def test_a_folder_that_somebody_else_has_prepared_is_refused(monkeypatch, tmp_path, what):
    memory = mask_keys.memory_folder() / f"prepared-{what}"
    memory.mkdir()
    monkeypatch.setenv(VARIABLE, str(memory))
    if what == "open":
        of_user().mkdir()
        of_user().chmod(0o777)
    else:
        of_user().symlink_to(tmp_path)
    with pytest.raises(Damaged, match="another's, or open to others"):
        MaskKeys.of(tmp_path, "one", "run")


def test_a_key_is_given_out_once(keys):
    public = public_half(keys.new())
    assert keys.holds(public)
    private = keys.take(public)
    assert private is not None
    assert public_half(private) == public
    assert keys.take(public) is None
    assert not keys.holds(public)
    assert list(keys.folder.iterdir()) == []


def test_a_copied_workspace_has_other_keys_and_so_has_another_site(keys, tmp_path):
    public = public_half(keys.new())
    assert MaskKeys.of(tmp_path, "one", "run").holds(public)
    assert not MaskKeys.of(tmp_path / "copy", "one", "run").holds(public)
    assert not MaskKeys.of(tmp_path, "two", "run").holds(public)


def test_a_link_to_the_workspace_is_the_workspace(keys, tmp_path):
    public = public_half(keys.new())
    (tmp_path / "link").symlink_to(tmp_path)
    assert MaskKeys.of(tmp_path / "link", "one", "run").holds(public)


def test_another_run_in_the_workspace_erases_the_keys_of_the_last(keys, tmp_path):
    old = public_half(keys.new())
    following = MaskKeys.of(tmp_path, "one", "another run")
    assert not following.holds(old)
    following.new()
    assert not keys.holds(old)


def test_nothing_is_left_where_all_is_forgotten(keys):
    keys.new()
    keys.forget()
    assert not keys.folder.parent.exists()


def test_all_but_the_named_keys_are_erased(keys):
    kept, gone = public_half(keys.new()), public_half(keys.new())
    keys.keep_only({kept})
    assert (keys.holds(kept), keys.holds(gone)) == (True, False)
