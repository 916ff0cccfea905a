"""A file in memory, for libraries that know only paths, and for sharing between processes."""

import os


class MemoryFile:
    """An anonymous file that takes no space on a disk.

    number: of an open one that another process has made and passed on; None: a new one.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = os.memfd_create("sealed") if number is None else number
        self.path = f"/proc/self/fd/{self.number}"  # another one in each process

    def write(self, content: bytes | memoryview = b"") -> str:
        """Replace the content, and return the path. Empty content takes no memory."""
        os.ftruncate(self.number, 0)
        os.pwrite(self.number, content, 0)
        return self.path

    def read(self) -> bytes:
        """The content."""
        return os.pread(self.number, os.fstat(self.number).st_size, 0)

    def saved(self, thing) -> bytes:
        """The bytes that `thing.save` writes to a path."""
        thing.save(self.write())
        return self.read()

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.number)
