"""The preloaded process of a local federation: it imports once, then forks a process per command.

fork_server.py starts this file with a socket and the modules to import. Each message on the socket
brings two file descriptors: a conversation, on which the forked process tells its process id and
reads what it is to run, and the file for its output. The code with which the process ended follows
on the conversation. When the socket ends, the owner is gone, and all that was forked is killed.

Until it forks there is one thread and no gRPC channel: neither outlives a fork. Whatever a typed
process gets for itself, a forked one gets too: session, environment, folder, random states, and
the modules that remember the folder in which they were imported.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

COMMANDS, KEPT = "openfl.interface", "aggregation_functions"
MOST_REQUEST = 1 << 20
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A forked process. ended: becomes readable when it has; None: its code was told."""

    pid: int
    conversation: socket.socket
    ended: int | None

    def close(self) -> None:
        self.conversation.close()
        if self.ended is not None:
            os.close(self.ended)
            self.ended = None


@dataclass(frozen=True)
class Job:
    """What a child has been forked for: its conversation and the file for its output."""

    conversation: socket.socket
    output: int


def main() -> None:
    """Ends in the preloaded process when its owner is gone, in each child as its command does."""
    del sys.path[0]  # this file's folder, where a typed command has its own
    preload(sys.argv[2:])
    gc.disable()
    gc.freeze()  # a collection would write to, and so copy, every page that is shared
    zygote = os.getpid()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        job = serve(control)
    if job is not None:
        gc.enable()
        run(job, zygote)


def preload(names: list[str]) -> None:
    """Import what every command imports. RuntimeError: a thread came to life with it."""
    for name in names:
        importlib.import_module(name)
    if COMMANDS in sys.modules:
        _forget_commands(sys.modules[COMMANDS])
    tasks = len(list(Path("/proc/self/task").iterdir()))
    if tasks != 1:
        raise RuntimeError(f"{tasks} threads live after the imports; a fork would lose all but one")


def _forget_commands(package: ModuleType) -> None:
    """Import OpenFL's commands for what they import, and forget them themselves.

    OpenFL 1.9 makes the names of its folders from the current one at this import
    (cli_helper.py:23).
    """
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    for name in names:
        importlib.import_module(f"{COMMANDS}.{name}")
    for name in names:
        if name != KEPT:  # classes that `isinstance` asks for; without a folder
            del sys.modules[f"{COMMANDS}.{name}"]
            delattr(package, name)


def serve(control: socket.socket) -> Job | None:
    """Fork for every message until the owner is gone: None. In a child: its job."""
    children: list[Child] = []
    with selectors.PollSelector() as ready:  # epoll would be shared with the children
        ready.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is not control:
                    _attend(key.data, ready, children)
                elif (job := _asked(control)) is None:
                    _end(children)
                    return None
                elif (pid := os.fork()) == 0:
                    for child in children:
                        child.close()
                    return job
                else:
                    os.close(job.output)
                    ended = os.pidfd_open(pid)
                    children.append(Child(pid, job.conversation, ended))
                    ready.register(ended, selectors.EVENT_READ, children[-1])


def run(job: Job, zygote: int) -> None:
    """Become the process that was asked for; what it ends with besides a code is for Python."""
    os.setsid()
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != zygote:
        sys.exit("The preloaded process has ended.")
    with job.conversation as conversation:
        conversation.send(str(os.getpid()).encode())
        request = json.loads(conversation.recv(MOST_REQUEST))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for mine, number in ((nothing, 0), (job.output, 1), (job.output, 2)):
        os.dup2(mine, number)
    os.close(nothing)
    os.close(job.output)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _draw_anew()
    sys.argv = request["command"]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _leave(end.code or 0)
    _leave(0)


def _leave(code: int) -> None:
    """End as Python does, but without taking apart all modules, which would copy their memory."""
    threading._shutdown()  # type: ignore[attr-defined] # as multiprocessing's own forks end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _draw_anew() -> None:
    """Random states from the operating system, as at an import; `random` sees to its own."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def _asked(control: socket.socket) -> Job | None:
    """The next job; None: the owner is gone."""
    message, files, _, _ = socket.recv_fds(control, 1, 2)
    return Job(socket.socket(fileno=files[0]), files[1]) if message else None


def _attend(child: Child, ready: selectors.PollSelector, children: list[Child]) -> None:
    """Tell the code of a child that has ended; reap it once the owner has taken that.

    Until then its process id is nobody else's, and may be signalled.
    """
    if child.ended is not None:
        found = os.waitid(os.P_PIDFD, child.ended, os.WEXITED | os.WNOWAIT)
        told = cast(os.waitid_result, found)  # None comes with WNOHANG alone
        code = told.si_status if told.si_code == os.CLD_EXITED else -told.si_status
        ready.unregister(child.ended)
        os.close(child.ended)
        child.ended = None
        with suppress(ConnectionError):  # nobody waits for it
            child.conversation.send(str(code).encode())
        ready.register(child.conversation, selectors.EVENT_READ, child)
    else:  # it says nothing more: it was closed, whether or not the code was read
        ready.unregister(child.conversation)
        child.close()
        os.waitpid(child.pid, 0)
        children.remove(child)


def _end(children: list[Child]) -> None:
    for child in children:
        os.kill(child.pid, signal.SIGKILL)  # it may not lead its group yet
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)


if __name__ == "__main__":
    main()
