"""Why the system gives no file or folder, by the error's number, and what to do about it.

None of these says anything about the content: a file that may not be read is not damaged.
"""

import errno
import os

NOT_THERE = "The share or disk it lies on does not answer. Mount it again, then try again."
DISK = "The disk or the share reported an error. Look at its log; the file itself may be whole."
SHORT = "This machine ran out of {what}. The file may be whole: {remedy}, then try again."

ADVICE = {
    errno.EACCES: "User {user} may not read it. Ask its owner for the right to (chmod, chown).",
    errno.EPERM: "User {user} may not read it. Ask its owner for the right to (chmod, chown).",
    errno.ESTALE: NOT_THERE,
    errno.ENOTCONN: NOT_THERE,
    errno.ETIMEDOUT: NOT_THERE,
    errno.ECONNREFUSED: NOT_THERE,
    errno.ECONNRESET: NOT_THERE,
    errno.ECONNABORTED: NOT_THERE,
    errno.EHOSTDOWN: NOT_THERE,
    errno.EHOSTUNREACH: NOT_THERE,
    errno.ENETDOWN: NOT_THERE,
    errno.ENETUNREACH: NOT_THERE,
    errno.ENODEV: NOT_THERE,
    errno.ENXIO: NOT_THERE,
    errno.ENOLINK: NOT_THERE,
    errno.EIO: DISK,
    errno.EREMOTEIO: DISK,
    errno.EUCLEAN: DISK,
    errno.EBADMSG: DISK,
    errno.EMFILE: SHORT.format(what="open files", remedy="raise `ulimit -n` or read fewer at once"),
    errno.ENFILE: SHORT.format(what="open files", remedy="end other programs"),
    errno.ENOMEM: SHORT.format(what="memory", remedy="end other programs"),
    errno.EBUSY: "Another program holds it. Try again once that has ended.",
    errno.EAGAIN: "Another program holds it. Try again once that has ended.",
    errno.ETXTBSY: "Another program holds it. Try again once that has ended.",
    errno.ENOKEY: "Its folder is encrypted and locked. Unlock it, then try again.",
    errno.EKEYEXPIRED: "The login to its share has expired. Log in again (kinit).",
    errno.ELOOP: "Links lead in a circle. Put the file itself in their place.",
    errno.ENOTDIR: "A part of its path is a file, not a folder. Correct the path or the link.",
    errno.ENAMETOOLONG: "Its path is too long. Move the data to a shorter one.",
    errno.ENOENT: "It is gone, or a link that leads nowhere. Put it there again.",
}
OTHERWISE = "The system does not let it be read. Ask who runs this machine; it may be whole."


def why_unreadable(error: OSError) -> str:
    """A sentence about what the system said, and what to do."""
    said = error.strerror or str(error)
    advice = ADVICE.get(error.errno or 0, OTHERWISE).format(user=os.geteuid())
    return f"expected to read it, found: {said}. {advice}"
