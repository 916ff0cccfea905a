"""Rules about this machine: versions, disk, clock, port."""

import platform
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from src.errors import Damaged, WireError
from src.fields import Fields
from src.network import ports
from src.preflight.finding import Examination, State
from src.strict import json_value
from src.text_file import read_text
from src.trust import audit

NEEDED_BYTES, COMFORTABLE_BYTES = 1e9, 5e9
CLOCK_TOLERANCE = timedelta(minutes=5)
PYTHON = "3.11"
SHORT_S = 0.5  # for a port that another examination tries at this moment


def versions(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the pinned packages are installed; other versions would compute other numbers."""
    path = examination.workspace / "requirements.txt"
    if not path.is_file():
        _ = examination.bundle  # says so
    locked = read_text(path)
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", locked, re.MULTILINE)
    wrong = []
    for name, pin in pins:
        found = _installed(name)
        if found != pin:
            wrong.append(f"{name} {found or 'is missing'} (expected {pin})")
    if not platform.python_version().startswith(f"{PYTHON}."):
        wrong.append(f"Python {platform.python_version()} (expected {PYTHON})")
    if wrong:
        some = ", ".join(wrong[:5]) + (" …" if len(wrong) > 5 else "")
        yield "fail", f"{some}. Install what is locked (runbook, 1)"
    else:
        yield "ok", f"{len(pins)} packages as pinned, Python {platform.python_version()}"


def _installed(name: str) -> str | None:
    try:
        return version(name).split("+")[0]  # torch 2.13.0+cpu is 2.13.0
    except PackageNotFoundError:
        return None


def disk(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether there is room for checkpoints, logs and a site's cache."""
    free = shutil.disk_usage(examination.workspace).free
    if free < NEEDED_BYTES:
        yield (
            "fail",
            f"{free / 1e9:.1f} GB free; a run needs {NEEDED_BYTES / 1e9:.0f} GB. Make room.",
        )
    elif free < COMFORTABLE_BYTES:
        yield "warn", f"{free / 1e9:.1f} GB free; large cases need more for the cache."
    else:
        yield "ok", f"{free / 1e9:.0f} GB free"


def clock(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the clock lies behind what was already logged or issued."""
    latest = examination.members.aggregator.certificate.not_valid_before_utc
    path = examination.workspace / audit.FILE
    if path.is_file():
        whole, _, _torn = path.read_bytes().rpartition(b"\n")
        try:
            times = [Fields(json_value(line)).text("time") for line in whole.splitlines()[-1:]]
            latest = max(latest, *map(datetime.fromisoformat, times))
        except (WireError, ValueError, TypeError):  # no time, or one without its zone
            raise Damaged(f"{path}: its last line is not readable: it was altered.") from None
    if examination.now + CLOCK_TOLERANCE < latest:
        yield (
            "fail",
            f"it is {examination.now:%F %T} UTC here, but {latest:%F %T} is past. Set the clock.",
        )
    else:
        yield "ok", f"{examination.now:%F %H:%M} UTC"


def port(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the aggregator can listen on its port, and who has it if not."""
    if examination.name is not None:
        return
    _, number = examination.address
    ports.refuse_taken(number, patience_s=SHORT_S)
    yield "ok", f"{number} is free"
