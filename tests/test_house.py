"""The house rules that a machine can hold: who imports whom, and who may touch OpenFL."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scripts.__main__ import main as scripts_verbs
from src.__main__ import main as src_verbs

ROOT = Path(__file__).resolve().parent.parent

# The ground: single files, each may import those before it.
GROUND = [
    "isolated",
    "account",
    "printable",
    "errors",
    "disk",
    "names",
    "text_file",
    "refusal",
    "require",
    "strict",
    "pem_door",
    "fields",
    "no_dump",
    "files",
    "hash_chain",
    "model_vector",
    "trainable",
]
# A room may import only from rooms on a lower floor, and from itself.
FLOORS = [
    [f"src.{file}" for file in GROUND],
    ["src.plan", "src.network"],
    ["src.secure_aggregation", "src.training", "src.aggregation", "src.data", "src.model"],
    ["src.differential_privacy", "src.evaluation"],
    ["src.rounds", "src.trust", "src.inference"],
    ["src.engines"],
    ["src.preflight"],
    ["src.verbs"],
    ["src.__main__"],
    ["scripts", "certs"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TOP = len(FLOORS) - 1
ENGINE = "src/engines/openfl/"


def python_files() -> list[Path]:
    return [p for room in ("src", "scripts", "certs") for p in (ROOT / room).rglob("*.py")]


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    files = [f"src.{file}" for file in GROUND]
    if importer in files and imported in files:
        return files.index(imported) > files.index(importer)
    return FLOOR[imported] >= FLOOR[importer] and FLOOR[importer] != TOP


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
    assert broken_rules("src.plan", "src.data")
    assert not broken_rules("src.evaluation", "src.data")


def test_the_drawing_of_the_floors_is_true():
    text = (ROOT / "src" / "README.md").read_text().partition("## Floors")[2]
    drawn = [
        re.split(r"\s{4,}", line.strip())[0].split() for line in text.split("```")[1].split("\n")
    ]
    floors = [{room.removeprefix("src.") for room in rooms} for rooms in reversed(FLOORS)]
    assert [set(line) for line in drawn if line] == floors


def test_every_room_has_a_floor():
    assert {room_of(path) for path in python_files()} - {"src", "src.__init__"} <= set(FLOOR)


def test_only_one_room_imports_openfl_and_grpc():
    touching = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("*.py")
        if {module.split(".")[0] for module in imports(path)} & {"openfl", "grpc"}
    }
    assert {path for path in touching if not path.startswith(ENGINE)} == set()
    assert touching


def test_every_file_begins_with_what_it_is():
    mute = [
        path.relative_to(ROOT)
        for path in python_files()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert mute == []


def of_the_locale(source: str) -> list[str]:
    """The calls that read or write text in whatever encoding the machine's locale has."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(k.arg == "encoding" for k in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        receiver = ast.unparse(node.func).rpartition(".")[0]
        mode = node.args[:1] if isinstance(node.func, ast.Attribute) else node.args[1:2]
        text = [m.value for m in mode if isinstance(m, ast.Constant) and isinstance(m.value, str)]
        opens = name == "open" and (
            (bool(text) and re.fullmatch("[rwax+t]+", text[0]) is not None)
            or (not node.args and receiver.endswith("path"))  # other things are opened, too
        )
        given = {"read_text": 1, "write_text": 2}.get(name, 0)  # arguments, an encoding among them
        if opens or (given and receiver != "self" and len(node.args) < given):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_text_is_read_and_written_as_utf_8_whatever_the_locale():
    calls = {
        str(path.relative_to(ROOT)): of_the_locale(path.read_text(encoding="utf-8"))
        for path in python_files()
    }
    assert {path: found for path, found in calls.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    ["p.read_text()", "p.write_text(t)", "log.open('a')", "open(f, 'w')", "self.path.open()"],
)
def test_a_text_file_of_the_locale_is_found(source):
    assert of_the_locale(source)
    assert not of_the_locale(source.replace(")", ", encoding='utf-8')").replace("(, ", "("))


def test_nothing_issued_or_secret_is_in_git():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    secret = [name for name in tracked if name.endswith((".key", ".pem", ".p12", ".crt", ".csr"))]
    assert secret == []


def verbs(command: click.Command | None, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of a command, and of every command below it."""
    assert command is not None, words
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from verbs(command.get_command(context, name), *words, name)


EVERY_VERB = [
    (package, *words)
    for package, group in (("src", src_verbs), ("scripts", scripts_verbs))
    for words in verbs(group)
]


@pytest.mark.parametrize("package_and_verb", EVERY_VERB, ids=" ".join)
def test_help_answers_without_heavy_imports(package_and_verb):
    package, *words = package_and_verb
    code = (
        f"import sys, runpy; sys.argv = [{package!r}, *sys.argv[1:], '--help']\n"
        f"try: runpy.run_module({package!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'monai', 'openfl', 'pandas', 'matplotlib', 'scipy', 'grpc'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert shown.startswith(f"Usage: python -m {' '.join(package_and_verb)} ")
    assert shown.strip().endswith("[]"), shown
