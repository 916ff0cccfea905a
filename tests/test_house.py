"""The house rules that a machine can hold: who imports whom, and who may touch OpenFL."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room may import only from rooms on a lower floor, and from itself.
FLOOR = {
    "scripts": 5,
    "certs": 5,
    "src.__main__": 4,
    "src.evaluation": 3,
    "src.inference": 2,
    "src.aggregation": 2,
    "src.trust": 3,
    "src.data": 1,
    "src.model": 1,
    "src.training": 1,
    "src.privacy": 1,
    "src.plan.plan": 0,
    "src.plan.rules": 0,
    "src.trainable": 0,
    "src.model_vector": 0,
    "src.require": 0,
    "src.files": 0,
    "src.errors": 0,
    "src.hash_chain": 0,
}
GROUND = [
    "src.require",
    "src.files",
    "src.errors",
    "src.hash_chain",
    "src.model_vector",
    "src.trainable",
    "src.plan.plan",
    "src.plan.rules",
]  # each may import those before it
DOORS = {
    "src/engines/openfl/data_loader.py",
    "src/engines/openfl/task_runner.py",
    "src/engines/openfl/collaborator.py",
    "src/engines/openfl/client.py",
    "src/preflight/connection.py",
    "src/engines/openfl/pipeline.py",
    "src/engines/openfl/aggregation_function.py",
    "src/engines/openfl/assigner.py",
    "src/engines/openfl/aggregator.py",
}


def python_files() -> list[Path]:
    return [p for room in ("src", "scripts", "certs") for p in (ROOT / room).rglob("*.py")]


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] in ("scripts", "certs"):
        return parts[0]
    return ".".join(parts[:2]) if parts[0] == "src" and len(parts) > 1 else None


def room_of(path: Path) -> str:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return room(module) or module


def broken_rules(importer: str, imported: str) -> bool:
    if importer == imported or importer not in FLOOR:
        return False
    if imported in GROUND:
        return importer in GROUND and GROUND.index(imported) > GROUND.index(importer)
    return FLOOR[imported] >= FLOOR[importer] and FLOOR[importer] != 5


def test_rooms_import_downwards_only():
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in python_files()
        for module in imports(path)
        if (target := room(module)) and target != "src" and broken_rules(room_of(path), target)
    ]
    assert wrong == []


def test_the_import_rule_can_fail():
    assert broken_rules("src.data", "src.training")
    assert broken_rules("src.training", "src.evaluation")
    assert broken_rules("src.require", "src.model_vector")
    assert broken_rules("src.plan.plan", "src.data")
    assert not broken_rules("src.evaluation", "src.data")


def test_every_room_has_a_floor():
    assert {room_of(path) for path in python_files()} - {"src", "src.__init__"} <= set(FLOOR)


def test_only_doors_import_openfl():
    touching = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("*.py")
        if any(module.split(".")[0] == "openfl" for module in imports(path))
    }
    assert touching == DOORS


def test_every_file_begins_with_what_it_is():
    mute = [
        path.relative_to(ROOT)
        for path in python_files()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert mute == []


def test_nothing_issued_or_secret_is_in_git():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    secret = [name for name in tracked if name.endswith((".key", ".pem", ".p12", ".crt", ".csr"))]
    assert secret == []


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "attack",
        "prepare",
        "simulate",
        "workspace",
        "evaluate",
        "benchmark",
        "certify",
        "pretrain",
        "privacy",
        "rehearse",
    ],
)
def test_help_answers_without_heavy_imports(verb):
    began = time.monotonic()
    code = (
        "import sys, runpy; sys.argv = ['scripts', *sys.argv[1:]]\n"
        "try: runpy.run_module('scripts', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'monai', 'openfl', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    words = [*([verb] if verb else []), "--help"]
    shown = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip().endswith("[]"), shown
    assert time.monotonic() - began < 5  # no timing test: only that nothing hangs
