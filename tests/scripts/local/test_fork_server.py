"""A forked command is like a typed one: folder, code, signals, random states; and it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.local import fx
from scripts.local.fork_server import Forked, ForkServer, ForkServerFailed

ROOT = Path(__file__).resolve().parents[3]
REQUEST = ("collaborator", "generate-cert-request", "-n", "one", "--silent")


@pytest.fixture(scope="module")
def server():
    with ForkServer(fx.environment()) as server:
        yield server


@pytest.fixture
def start(server, tmp_path):
    """Forks a Python script given as text; what it writes lies in tmp_path/output."""
    scripts = iter(range(100))

    def start(code: str, *arguments: str, cwd: Path = tmp_path, **variables: str) -> Forked:
        path = tmp_path / f"script_{next(scripts)}.py"
        path.write_text(code)
        with (tmp_path / "output").open("a") as output:
            return server.start(
                [str(path), *arguments],
                cwd=cwd,
                environment=fx.environment() | variables,
                output=output,
            )

    return start


@pytest.fixture
def output(tmp_path):
    return lambda: (tmp_path / "output").read_text()


def until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Ended, if not yet reaped by whoever has inherited it."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"


def empty_workspace(folder: Path) -> Path:
    """What `fx` must find to make a request."""
    (folder / "plan").mkdir(parents=True)
    return folder


def test_keys_lie_where_a_typed_command_puts_them(server, tmp_path):
    forked, typed = (empty_workspace(tmp_path / name) for name in ("forked", "typed"))
    with fx.forked_by(server):
        fx.run(forked, *REQUEST)
    fx.run(typed, *REQUEST)
    made, expected = (
        {path.relative_to(folder): path.stat().st_mode for path in folder.rglob("*")}
        for folder in (forked, typed)
    )
    assert made == expected
    assert Path("cert/client/col_one.key") in made


def test_requests_made_at_once_have_keys_of_their_own(server, tmp_path):
    workspaces = [empty_workspace(tmp_path / str(i)) for i in range(4)]
    with fx.forked_by(server), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda workspace: fx.run(workspace, *REQUEST), workspaces))
    keys = {(workspace / "cert/client/col_one.key").read_bytes() for workspace in workspaces}
    assert len(keys) == 4


def test_a_failing_command_is_told_with_its_last_lines(server, tmp_path):
    with (
        fx.forked_by(server),
        pytest.raises(fx.FxFailed, match=r"(?s)`fx plan nonsense` .* code 2:.*No such command"),
    ):
        fx.run(tmp_path, "plan", "nonsense")


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(77)", 77),
        ("raise SystemExit('the reason')", 1),
        ("raise KeyError('a bug')", 1),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
        ("import os; os.kill(os.getpid(), 2)", -signal.SIGINT),
    ],
)
def test_it_ends_with_the_code_of_a_typed_process(start, output, tmp_path, code, ends):
    forked = start(code)
    assert (forked.wait(20), forked.poll(), forked.returncode) == (ends, ends, ends)
    typed = [sys.executable, tmp_path / "script_0.py"]
    shown = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert shown.returncode == ends
    assert output().splitlines()[-1:] == shown.stderr.splitlines()[-1:]


def test_a_killed_one_is_told_as_killed(start):
    forked = start("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.1)
    assert forked.poll() is None
    os.killpg(forked.pid, signal.SIGKILL)  # its group is its own
    assert forked.wait(20) == -signal.SIGKILL


def test_its_number_is_kept_until_its_code_was_taken(start):
    forked = start("pass")
    until(lambda: is_gone(forked.pid))
    os.kill(forked.pid, 0)  # a zombie, so that no stranger can be signalled by this number
    forked.wait(20)
    until(lambda: not Path(f"/proc/{forked.pid}").exists())


def test_one_that_nobody_waits_for_is_reaped_and_the_next_one_starts(start):
    forked = start("pass")
    until(lambda: is_gone(forked.pid))
    time.sleep(0.2)  # its code lies unread
    forked._conversation.close()
    until(lambda: not Path(f"/proc/{forked.pid}").exists())
    assert start("pass").wait(20) == 0


def test_folder_variables_and_files_are_those_of_a_typed_process(start, output, tmp_path):
    code = (
        "import json, os, sys, threading\n"
        "files = [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)]\n"
        "print(json.dumps([os.getcwd(), sys.argv, sys.path, dict(os.environ), files,\n"
        "    sorted(os.listdir('/proc/self/fd'))[:-1], len(os.listdir('/proc/self/task')),\n"
        "    __name__, os.getsid(0) == os.getpid()]))\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert start(code, "a", "b", cwd=elsewhere, COLOUR="green").wait(20) == 0
    with (tmp_path / "output").open("a") as log:
        subprocess.run(
            [sys.executable, tmp_path / "script_0.py", "a", "b"],
            cwd=elsewhere,
            env=fx.environment() | {"COLOUR": "green"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )
    forked, typed = map(json.loads, output().splitlines())
    assert forked == typed


def test_what_is_done_at_the_end_is_done(start, output):
    code = (
        "import atexit, sys, threading, time\n"
        "atexit.register(print, 'registered')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "sys.stdout.write('no line end')\n"
    )
    assert start(code).wait(20) == 0
    assert output() == "no line endthread\nregistered\n"


def test_no_two_have_the_same_random_states(start, output):
    code = (
        "import random, secrets, uuid, numpy, torch\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "key = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value\n"
        "print(random.random(), numpy.random.random(), torch.rand(1).item(), uuid.uuid4(),\n"
        "    secrets.token_hex(), key)"
    )
    assert [start(code).wait(20) for _ in range(3)] == [0, 0, 0]
    draws = zip(*(line.split() for line in output().splitlines()), strict=True)
    assert [len(set(drawn)) for drawn in draws] == [3] * 6


def test_each_runs_the_code_of_its_own_workspace(start, output, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / "__init__.py").write_text("")
        (tmp_path / name / "src" / "plan.py").write_text(f"print('{name}')\n")
    code = "import sys; sys.path.insert(0, '.'); import src.plan"
    for name in ("first", "second"):
        assert start(code, cwd=tmp_path / name).wait(20) == 0
    assert output() == "first\nsecond\n"


def test_nothing_that_is_preloaded_remembers_a_folder_or_the_kit(start, output):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "absolute = {Path(name).absolute() for name in ('cert', 'plan', 'save', 'logs', 'data')}\n"
        "roots = {Path('/') / path.name for path in absolute}\n"  # the preloaded process's folder
        "for name, module in list(sys.modules.items()):\n"
        "    for key, value in list(vars(module).items()):\n"
        "        if isinstance(value, Path) and value in roots: print(name, key, value)\n"
        "    if name.split('.')[0] in ('src', 'scripts', 'certs'): print(name)\n"
    )
    assert start(code).wait(20) == 0
    assert output() == ""


def test_a_variable_that_comes_too_late_is_refused(server, tmp_path):
    late = fx.environment() | {"OMP_NUM_THREADS": "7"}
    with (
        (tmp_path / "output").open("w") as output,
        pytest.raises(ValueError, match=r"OMP_NUM_THREADS is '7', .* imported with '1'"),
    ):
        server.start([str(fx.FX)], cwd=tmp_path, environment=late, output=output)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('the reason')", "ImportError: the reason"),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(5,)).start()",
            "2 threads live after the imports",
        ),
    ],
    ids=["a module that fails", "a module that starts a thread"],
)
def test_a_server_that_cannot_fork_says_why(tmp_path, code, reason):
    (tmp_path / "preloaded.py").write_text(code)
    variables = fx.environment() | {"PYTHONPATH": str(tmp_path)}
    with (
        ForkServer(variables, ["preloaded"]) as server,
        (tmp_path / "output").open("w") as output,
        pytest.raises(ForkServerFailed, match=f"(?s)has ended:.*{reason}"),
    ):
        server.start([str(fx.FX)], cwd=tmp_path, environment=variables, output=output)


OWNER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from scripts.local import fx\n"
    "from scripts.local.fork_server import ForkServer\n"
    "folder = Path(sys.argv[1])\n"
    "server = ForkServer(fx.environment(), [])\n"
    "with (folder / 'output').open('w') as output:\n"
    "    server.start([str(folder / 'child.py')], cwd=folder,\n"
    "        environment=fx.environment(), output=output)\n"
    "time.sleep(60)\n"
)
WITH_A_CHILD = (
    "import os, subprocess, time\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "print(os.getppid(), os.getpid(), child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.mark.parametrize("victim", ["owner", "preloaded process"])
def test_nothing_forked_outlives(tmp_path, victim):
    (tmp_path / "child.py").write_text(WITH_A_CHILD)
    output = tmp_path / "output"
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT) as owner:
        until(lambda: output.exists() and output.read_text().endswith("\n"), 60)
        preloaded, forked, grandchild = map(int, output.read_text().split())
        try:
            if victim == "owner":
                owner.kill()
                until(lambda: is_gone(preloaded) and is_gone(grandchild))
            else:
                os.kill(preloaded, signal.SIGKILL)
            until(lambda: is_gone(forked))
        finally:
            owner.kill()
            if not is_gone(grandchild):
                os.kill(grandchild, signal.SIGKILL)


def test_closing_the_server_ends_what_still_runs(tmp_path):
    (tmp_path / "child.py").write_text(WITH_A_CHILD)
    with ForkServer(fx.environment(), []) as server, (tmp_path / "output").open("w") as output:
        forked = server.start(
            [str(tmp_path / "child.py")], cwd=tmp_path, environment=fx.environment(), output=output
        )
        until((tmp_path / "output").read_text)
    assert forked.wait(5) == -signal.SIGKILL
    assert all(is_gone(int(pid)) for pid in (tmp_path / "output").read_text().split())
