"""A fork server: commands start as copies of one process that has imported already.

An `fx` command is seconds of imports and hundreds of megabytes before it does anything. Here they
are paid once: zygote.py imports, and each command is forked from it, with its memory shared until
it is written to. For parties that live on one machine anyway; a hospital types its commands.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from src.errors import RunFailed

ZYGOTE = Path(__file__).with_name("zygote.py")
PRELOADED = ("openfl.interface", "openfl.federated", "monai", "opacus.accountants", "tenseal")
# read before or at the imports: a forked process has them as the preloaded one had
READ_AT_START = ("PYTHON", "OMP_", "MKL_", "MALLOC_", "GRPC_", "LD_")
CLOSE_S = 10.0


class ForkServerFailed(RunFailed):
    """The preloaded process did not start, or ended; the message ends with its last words."""


class Forked:
    """A forked process, with what Popen offers of one: pid, returncode, poll, wait, kill."""

    def __init__(self, args: Sequence[str], pid: int, conversation: socket.socket) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._conversation = conversation

    def poll(self) -> int | None:
        """Its exit code, minus the signal that killed it, or None: it runs."""
        if self.returncode is None:
            self._conversation.setblocking(False)
            try:
                self._take()
            except BlockingIOError:
                return None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code as poll() gives it. subprocess.TimeoutExpired: see there."""
        if self.returncode is None:
            self._conversation.settimeout(timeout)
            try:
                self._take()
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _take(self) -> None:
        code = self._conversation.recv(16)
        # nothing: the preloaded process was killed, and this one with it
        self.returncode = int(code) if code else -signal.SIGKILL
        self._conversation.close()


class ForkServer:
    """The preloaded process, from here to close(). It and all it forked end with this process.

    environment: the variables that it imports with. modules: what it imports, while this process
    goes on; the first start() waits for it.
    """

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str] = PRELOADED) -> None:
        self._environment = dict(environment)
        self._has_forked = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(ZYGOTE), str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], output: IO
    ) -> Forked:
        """Run a Python script with its arguments in a process group of its own.

        output: the file for its stdout and stderr. ForkServerFailed: see there. ValueError: a
        variable that is read at start differs from the preloaded process's.
        """
        self._refuse_what_comes_too_late(environment)
        request = {
            "command": [str(word) for word in command],
            "folder": str(Path(cwd).resolve()),
            "environment": dict(environment),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                ours.send(json.dumps(request).encode())
                socket.send_fds(self._control, [b"!"], [theirs.fileno(), output.fileno()])
            pid = ours.recv(16)
            self._has_forked = True
        except OSError as error:
            ours.close()
            raise ForkServerFailed(self._last_words()) from error
        if not pid:
            ours.close()
            raise ForkServerFailed(self._last_words())
        return Forked(request["command"], int(pid), ours)

    def close(self) -> None:
        """End the preloaded process; what it forked and still runs is killed."""
        self._control.close()
        if not self._has_forked:  # it may import for seconds yet, and sees to nobody
            self._process.kill()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _refuse_what_comes_too_late(self, environment: Mapping[str, str]) -> None:
        for name in sorted({*environment, *self._environment}):
            given, had = environment.get(name), self._environment.get(name)
            if name.startswith(READ_AT_START) and given != had:
                raise ValueError(
                    f"{name} is {given!r}, but the preloaded process imported with {had!r}. "
                    "Start a fork server with that environment, or type the command."
                )

    def _last_words(self) -> str:
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").splitlines()[-12:]
        return "\n".join(["The preloaded process has ended:", *(f"    {word}" for word in words)])
