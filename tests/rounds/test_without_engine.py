"""Every room but the engine's own runs where OpenFL and gRPC are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "src" / "engines" / "openfl"
KNOCKS = "src.preflight.connection"  # the doctor's call at the aggregator, through the engine
FAST = [  # a test file a room: what needs neither workers nor a ceremony
    "tests/rounds/test_combine.py",
    "tests/rounds/test_ending.py",
    "tests/rounds/test_tensor_bytes.py",
    "tests/secure_aggregation/test_protocol.py",
    "tests/secure_aggregation/test_framing.py",
    "tests/aggregation",
    "tests/differential_privacy/test_gaussian.py",
    "tests/model/test_losses.py",
    "tests/data/test_smooth_noise.py",
    "tests/evaluation/test_metrics.py",
]


def run(program: str, *words: str) -> subprocess.CompletedProcess:
    """A program in a Python that has neither."""
    code = f"from tests import without_engine\nwithout_engine.uninstall()\n{program}"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True
    )


def test_the_blocked_packages_cannot_be_imported():
    for package in ("openfl", "grpc", "openfl.component", "src.engines.openfl.aggregator"):
        ended = run(f"import {package}")
        assert ended.returncode
        assert "ModuleNotFoundError: No module named" in ended.stderr


def test_every_module_outside_the_engines_room_is_imported():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "src").rglob("*.py"))
        if ENGINE not in path.parents and path.name != "__main__.py"
    ]
    assert len(modules) > 90
    modules.remove(KNOCKS)
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    ended = run(program, *modules)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.timeout(300)
def test_the_other_rooms_tests_pass():
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--noconftest"]
    ended = run("import sys, pytest\nsys.exit(pytest.main(sys.argv[1:]))", *options, *FAST)
    assert ended.returncode == 0, ended.stdout[-2000:]
