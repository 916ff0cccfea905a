"""What the system does not give is never called damaged, and each reason has its own advice."""

import errno
import os
import resource

import pytest

from src.data.nifti import read_volume
from src.data.unreadable import why_unreadable
from src.errors import VolumeError


@pytest.mark.parametrize(
    ("number", "said", "advice"),
    [
        (errno.EACCES, "Permission denied", f"User {os.geteuid()} may not read it"),
        (errno.EPERM, "Operation not permitted", "may not read it"),
        (errno.ESTALE, "Stale file handle", "Mount it again"),
        (errno.ETIMEDOUT, "Connection timed out", "Mount it again"),
        (errno.ENOTCONN, "not connected", "Mount it again"),
        (errno.EHOSTDOWN, "Host is down", "Mount it again"),
        (errno.EIO, "Input/output error", "Look at its log; the file itself may be whole"),
        (errno.EREMOTEIO, "Remote I/O error", "The disk or the share reported an error"),
        (errno.EUCLEAN, "Structure needs cleaning", "The disk or the share reported an error"),
        (errno.EMFILE, "Too many open files", "`ulimit -n`"),
        (errno.ENFILE, "Too many open files in system", "end other programs"),
        (errno.ENOMEM, "Cannot allocate memory", "end other programs"),
        (errno.EBUSY, "busy", "Another program holds it"),
        (errno.ENOKEY, "Required key not available", "encrypted and locked"),
        (errno.EKEYEXPIRED, "Key has expired", "Log in again"),
        (errno.ENOTDIR, "Not a directory", "Correct the path"),
        (errno.ERANGE, "Numerical result", "Ask who runs this machine; it may be whole"),
    ],
)
def test_each_error_of_the_system_has_its_own_advice(number, said, advice):
    text = why_unreadable(OSError(number, os.strerror(number), "a.nii"))
    assert said in text
    assert advice in text
    assert "damaged" not in text
    assert "Copy" not in text


def test_links_in_a_circle_and_names_too_long_are_told_apart(tmp_path):
    (tmp_path / "a.nii").symlink_to("b.nii")
    (tmp_path / "b.nii").symlink_to("a.nii")
    with pytest.raises(VolumeError, match="Links lead in a circle"):
        read_volume(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="path is too long"):
        read_volume(tmp_path / ("a" * 300 + ".nii"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="found a pipe, socket or device"):
        read_volume(tmp_path / "a.nii")


def test_too_many_open_files_are_called_so(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(VolumeError, match=r"Too many open files.*ulimit -n"):
            read_volume(tmp_path / "a.nii")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
